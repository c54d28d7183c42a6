//! A synchronous program, without a runtime.

use std::sync::mpsc;

use crate::common::rig::{Document, Rig, quick};

#[test]
fn a_plain_thread_needs_no_runtime() {
    let (address, addresses) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::start().await;
            address.send(rig.address).unwrap();
            stopped.await.unwrap();
        });
    });
    let address = addresses.recv().unwrap();

    let clients = [(); 2].map(|()| quick(address).connect());
    let documents = clients.each_ref().map(|client| client.room("document-1").state(Document::default()));
    std::thread::scope(|scope| {
        for document in &documents {
            scope.spawn(|| {
                let receipts: Vec<_> = (0..100).map(|_| document.add_views(1).unwrap()).collect();
                for receipt in receipts {
                    receipt.wait().unwrap();
                }
            });
        }
    });
    // An answer arrives after everything that the server had ordered before.
    let last = documents[0].set_title("done").unwrap().wait().unwrap();
    assert_eq!(documents[0].version(), last);
    assert_eq!(documents[0].views(), 200);
    assert!(clients.iter().all(|client| client.close_blocking().is_empty()));
    stop.send(()).unwrap();
    server.join().unwrap();
}
