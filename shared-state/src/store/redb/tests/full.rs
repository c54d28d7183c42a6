//! A disk that is really full.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::{RedbStore, answered, append, available, check};
use crate::store::{AppendError, RoomStore};

/// A mounted file system in memory, unmounted on drop.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn of_size(at: &'a Path, bytes: usize) -> Self {
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success(), "the test must run as root, to mount a file system");
        Self(at)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // Nothing else can be done here; a failure is seen in the list of mounts.
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// `cargo test -p shared-state --lib store::redb::tests::full -- --ignored`, as root.
#[tokio::test]
#[ignore = "mounts a file system, which only root may"]
async fn g2_a_store_on_a_disk_that_was_full_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::of_size(dir.path(), 16 << 20);
    let store = RedbStore::open(dir.path().join("store")).unwrap();
    let mut acknowledged = 0;
    while acknowledged < 20 {
        answered(store.append(append("a", acknowledged, 10_000))).await.unwrap();
        acknowledged += 1;
    }
    for round in 0..3 {
        let filling = dir.path().join("filling");
        let mut file = File::create(&filling).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        drop(file);
        // The writer goes on until the file's own free space is used, too.
        let error = loop {
            match answered(store.append(append("a", acknowledged, 100_000))).await {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        println!("round {round}: {acknowledged} acknowledged, then: {error:?}");
        assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
        std::fs::remove_file(&filling).unwrap();
        available(&store).await;
        let stored = answered(store.load("a".into())).await.unwrap().unwrap();
        check(&stored);
        let version = stored.version();
        assert!(version == acknowledged || version == acknowledged + 1, "{version}, not {acknowledged}");
        acknowledged = version;
    }
    store.close().await.unwrap();
    drop(store);
    let stored = RedbStore::open(dir.path().join("store")).unwrap().load("a".into()).await.unwrap().unwrap();
    check(&stored);
    assert_eq!(stored.version(), acknowledged);
    drop(mount);
}
