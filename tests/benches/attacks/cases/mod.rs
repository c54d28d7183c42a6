//! The cases: one file for each kind.

mod changes;
mod channels;
mod deaf;
mod envelopes;
mod framing;
mod handshakes;
mod hook;
mod passwords;
mod presence;
mod rooms;
mod texts;

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;

use crate::target::Target;

type Attack = Box<dyn Fn(Target) -> Pin<Box<dyn Future<Output = Result<()>>>> + Send + Sync>;

/// An attack. It is begun anew until its time is over; its connections are closed then.
pub struct Case {
    kind: &'static str,
    name: &'static str,
    attack: Attack,
}

impl Case {
    pub fn full_name(&self) -> String {
        format!("{}: {}", self.kind, self.name)
    }

    /// Attacks once, or until it is dropped.
    ///
    /// # Errors
    /// The server has ended a connection, which is counted among its answers.
    pub async fn attack(&self, target: Target) -> Result<()> {
        (self.attack)(target).await
    }
}

/// The cases of a kind, as they are collected.
struct Cases {
    kind: &'static str,
    cases: Vec<Case>,
}

impl Cases {
    const fn new(kind: &'static str) -> Self {
        Self { kind, cases: Vec::new() }
    }

    fn add<F>(&mut self, name: &'static str, attack: impl Fn(Target) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let attack: Attack = Box::new(move |target| Box::pin(attack(target)));
        self.cases.push(Case { kind: self.kind, name, attack });
    }

    /// Adds a case in which `count` attackers do the same at once. They have `shared` in common.
    fn crowd<D, F>(
        &mut self,
        name: &'static str,
        count: usize,
        shared: D,
        attacker: impl Fn(Target, Arc<D>) -> F + Send + Sync + 'static,
    ) where
        D: Send + Sync + 'static,
        F: Future<Output = Result<()>> + 'static,
    {
        let (shared, attacker) = (Arc::new(shared), Arc::new(attacker));
        self.add(name, move |target| {
            let (shared, attacker) = (shared.clone(), attacker.clone());
            async move { target.crowd(count, |target| attacker(target, shared.clone())).await }
        });
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    let kinds = [
        handshakes::cases(),
        framing::cases(),
        envelopes::cases(),
        rooms::cases(),
        changes::cases(),
        texts::cases(),
        hook::cases(),
        channels::cases(),
        presence::cases(),
        passwords::cases(),
        deaf::cases(),
    ];
    kinds.into_iter().flat_map(|kind| kind.cases).collect()
}
