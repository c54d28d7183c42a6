//! What several of the tests need.

pub(crate) mod client;
pub(crate) mod kept;
pub(crate) mod observed;
pub(crate) mod proxy;
pub(crate) mod rig;
