//! The attacked server: its process, its memory and its data.

use std::io::{Error, Result};
use std::net::SocketAddr;

use shared_state_tests::Process;
use tempfile::TempDir;

/// The attacked server, in a process of its own, with its data.
pub struct Server {
    pub address: SocketAddr,
    data: TempDir,
    idle: u64,
    process: Option<Process>,
}

impl Server {
    /// # Errors
    /// There is no directory for its data.
    pub async fn start(idle: u64) -> Result<Self> {
        let mut this = Self { address: Process::address(), data: tempfile::tempdir()?, idle, process: None };
        this.restart().await?;
        Ok(this)
    }

    /// Kills it, if it has not ended, and starts it with the same data.
    ///
    /// # Errors
    /// The system does not say whether it has ended.
    pub async fn restart(&mut self) -> Result<()> {
        let has_ended = self.ended()?.is_some();
        if let Some(process) = self.process.take()
            && !has_ended
        {
            process.kill().await;
        }
        let program = env!("CARGO_BIN_EXE_attacked_server");
        let idle = [self.idle.to_string()];
        self.process = Some(Process::start_with(program, self.address, self.data.path(), &idle).await);
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<String>> {
        let status = self.process.as_mut().map(Process::ended).transpose()?.flatten();
        Ok(status.map(|status| status.to_string()))
    }

    /// The size of its data on the disk, in MB.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn stored(&self) -> Result<f64> {
        let mut bytes = 0;
        for file in std::fs::read_dir(self.data.path())? {
            bytes += file?.metadata()?.len();
        }
        Ok(bytes as f64 / (1 << 20) as f64)
    }

    /// Resident memory now, in MB.
    ///
    /// # Errors
    /// The process has ended.
    pub fn memory(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most resident memory since [`forget_peak`](Self::forget_peak), in MB.
    ///
    /// # Errors
    /// The process has ended.
    pub fn peak(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    /// # Errors
    /// The process has ended, or the system does not allow it.
    pub fn forget_peak(&self) -> Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()?), "5")
    }

    fn id(&self) -> Result<u32> {
        self.process.as_ref().and_then(Process::id).ok_or_else(|| Error::other("the server has ended"))
    }

    fn status(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kilobytes.map(|kilobytes| kilobytes / 1024.0).ok_or_else(|| Error::other("the server has ended"))
    }
}
