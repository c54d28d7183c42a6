//! Shared by several of the tests.

pub(crate) mod client;
pub(crate) mod kept;
pub(crate) mod observed;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod rig;
