//! Attacks a server in a process of its own, over sockets, while an honest client in a room of its own measures how long
//! its writes take. Prints a table, and fails if the server crashed, the honest client lost a write or its connection, the
//! server's memory passed a total, or the honest client's p99 passed the larger of 3 times that at rest and 10 ms.
//!
//! ```console
//! cargo bench -p shared-state-tests --bench attacks -- [--short] [--total <MB>] [--idle <s>] [--list] [<part of a name>]
//! ```
//!
//! `--short` takes 0.2 s for a case instead of 1 s and only demands that no acknowledgement takes longer than 2 s. The
//! server keeps rooms in memory for `--idle` seconds, 10 here, so that what many cases have left is not added up.

#![allow(missing_docs, unreachable_pub)]

mod answers;
mod cases;
mod honest;
mod raw;
mod report;
mod server;
mod target;

use std::io::{Error, Result};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout_at};

use crate::answers::Answers;
use crate::cases::Case;
use crate::honest::{Honest, Ledger};
use crate::report::{Demands, Memory, Row, Times, print_violated};
use crate::server::Server;
use crate::target::Target;

/// How often a case is tried whose times are too long: other programs of the machine may be the cause.
const TRIES: usize = 3;

struct Options {
    demands: Demands,
    /// The time of a case.
    time: Duration,
    idle: u64,
    list: bool,
    part: String,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let demands = Demands { total: 512.0, short: false };
        let mut options =
            Self { demands, time: Duration::from_secs(1), idle: 10, list: false, part: String::new() };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let number = arguments.next().and_then(|number| number.parse().ok());
                number.ok_or_else(|| Error::other(format!("`{argument}` needs a number")))
            };
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--short" => {
                    options.demands.short = true;
                    options.time = Duration::from_millis(200);
                }
                "--total" => options.demands.total = number()? as f64,
                "--idle" => options.idle = number()?,
                "--list" => options.list = true,
                part if !part.starts_with('-') => options.part = part.to_owned(),
                _ => return Err(Error::other(format!("`{argument}` is no option"))),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all demands were met.
fn run(options: &Options) -> Result<bool> {
    let cases = cases::all();
    let cases: Vec<_> = cases.iter().filter(|case| case.full_name().contains(&options.part)).collect();
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.full_name()));
        return Ok(true);
    }
    let begun = Instant::now();
    let mut arena = Arena::open(options)?;
    println!(
        "at rest: p50 {:.2?}, p99 {:.2?}, {:.1} MB; the most memory allowed is {} MB",
        arena.rest.p50,
        arena.rest.p99,
        arena.server.memory()?,
        options.demands.total
    );
    Row::print_head();
    let mut rows = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        let row = arena.attack(case, number)?;
        row.print();
        rows.push(row);
    }
    println!("\n{:.0?} in all, {:.0} MB stored", begun.elapsed(), arena.server.stored()?);
    if !options.demands.short {
        std::thread::sleep(Duration::from_secs(options.idle + 2));
        println!("when the rooms had left memory: {:.1} MB", arena.server.memory()?);
    }
    Ok(!print_violated(&rows))
}

/// The server, the honest client and what they need.
struct Arena<'a> {
    options: &'a Options,
    runtime: Runtime,
    server: Server,
    honest: Honest,
    /// The honest client's times while nobody attacks.
    rest: Times,
}

impl<'a> Arena<'a> {
    fn open(options: &'a Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = runtime.block_on(Server::start(options.idle))?;
        let honest = Honest::start(server.address, Ledger::default())?;
        let mut this = Self { options, runtime, server, honest, rest: Times::default() };
        // The first writes warm up.
        this.measure_rest();
        this.measure_rest();
        Ok(this)
    }

    /// Measures the rest again. Only a shorter one counts: a longer one may be what an attack has left.
    fn measure_rest(&mut self) {
        self.honest.take_times();
        std::thread::sleep(self.options.time);
        let rest = Times::of(self.honest.take_times());
        if self.rest.writes == 0 || rest.writes > 0 && rest.p99 < self.rest.p99 {
            self.rest = rest;
        }
    }

    /// Attacks, and again if only the times are too long.
    fn attack(&mut self, case: &Case, number: usize) -> Result<Row> {
        let mut tries = 1;
        loop {
            let mut row = self.attack_once(case, number + (tries - 1) * 1000)?;
            let crashed = self.server.ended()?;
            let is_over = row.memory.peak > self.options.demands.total;
            if let Some(status) = &crashed {
                row.faults.push(format!("the server ended: {status}"));
            }
            if is_over {
                row.faults.push(format!("the server took {:.0} MB", row.memory.peak));
            }
            if crashed.is_some() || is_over {
                // Other cases begin without what this one has left.
                self.restart()?;
            }
            match row.times.too_long(&row.rest, self.options.demands) {
                Some(_) if tries < TRIES && row.faults.is_empty() => tries += 1,
                why => {
                    row.faults.extend(why);
                    return Ok(row);
                }
            }
            self.measure_rest();
        }
    }

    fn attack_once(&mut self, case: &Case, number: usize) -> Result<Row> {
        let (time, answers) = (self.options.time, Answers::default());
        self.honest.take_times();
        let before = self.server.memory()?;
        self.server.forget_peak()?;
        let target = Target::new(self.server.address, answers.clone(), number);
        std::thread::scope(|scope| scope.spawn(|| attack_for(case, &target, time)).join())
            .map_err(|_| Error::other("an attacker panicked"))??;
        let times = Times::of(self.honest.take_times());
        let checked = self.runtime.block_on(self.honest.check());
        let mut faults = self.honest.take_faults();
        faults.extend(checked.err().map(|error| error.to_string()));
        std::thread::sleep(time / 5);
        // A server that has crashed has no memory.
        let memory = Memory {
            before,
            peak: self.server.peak().unwrap_or_default(),
            after: self.server.memory().unwrap_or_default(),
        };
        let (name, answers) = (case.full_name(), answers.to_string());
        Ok(Row { name, times, rest: self.rest, memory, answers, faults })
    }

    /// Starts the server anew, with its data; the honest client begins a new connection.
    fn restart(&mut self) -> Result<()> {
        self.honest.finish();
        self.runtime.block_on(self.server.restart())?;
        self.honest = Honest::start(self.server.address, self.honest.ledger())?;
        Ok(())
    }
}

/// Attacks until the time is over, on this thread.
fn attack_for(case: &Case, target: &Target, time: Duration) -> Result<()> {
    // The attackers of a real server are on other machines.
    step_back()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = tokio::time::Instant::now() + time;
        // An attack that ends begins anew.
        while timeout_at(end, case.attack(target.clone())).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    Ok(())
}

/// Gives this thread the lowest priority, where the system has the command for it.
fn step_back() -> Result<()> {
    let thread = std::fs::read_link("/proc/thread-self")?;
    if let Some(thread) = thread.file_name() {
        let _ = Command::new("renice").args(["-n", "19", "-p"]).arg(thread).stdout(Stdio::null()).status();
    }
    Ok(())
}
