//! Transactions: compare and set.

use shared_state::client::{Handle, TransactError};
use shared_state::proto::Code;
use shared_state::proto::replica::Transaction;
use shared_state::{Invalid, WriteError};
use shared_state_tests::soon;

use crate::common::proxy::Proxy;
use crate::common::rig::{Document, Rig, joined, quick, until};

fn increment(transaction: &mut Transaction<Document>) -> Result<(), std::convert::Infallible> {
    let balance = *transaction.get(Document::BALANCE);
    transaction.set(Document::BALANCE, balance + 1);
    Ok(())
}

#[tokio::test]
async fn g6_contended_transactions_lose_nothing() {
    let rig = Rig::start().await;
    let clients = [(); 2].map(|()| quick(rig.address).reruns(1000).connect());
    let documents = [joined(&clients[0]).await, joined(&clients[1]).await];
    let work = documents.iter().map(|document| async {
        for _ in 0..50 {
            soon("the transaction", document.transact(increment)).await.unwrap();
        }
    });
    futures_util::future::join_all(work).await;
    for document in &documents {
        until(document, Document::BALANCE, 100).await;
        assert_eq!(document.version(), 100);
    }
}

/// Two documents, the first of which has not received what the second has written.
async fn behind(rig: &Rig, reruns: u32) -> (Proxy, [Handle<Document>; 2]) {
    let proxy = Proxy::start(rig.address).await;
    let (a, b) = (quick(proxy.address).reruns(reruns).connect(), quick(rig.address).connect());
    let documents = [joined(&a).await, joined(&b).await];
    proxy.hold();
    soon("the answer", documents[1].set(Document::BALANCE, 10).unwrap()).await.unwrap();
    (proxy, documents)
}

#[tokio::test]
async fn g6_a_transaction_is_run_again_on_the_newer_state() {
    let rig = Rig::start().await;
    let (proxy, [document, _]) = behind(&rig, 1).await;
    let mut runs = 0;
    let transaction = document.transact(|transaction| {
        runs += 1;
        increment(transaction)
    });
    assert_eq!(document.balance(), 1, "it shows before it is awaited");
    proxy.release();
    assert_eq!(soon("the transaction", transaction).await, Ok(2));
    assert_eq!((document.balance(), runs), (11, 2));
}

#[tokio::test]
async fn g6_without_reruns_a_late_transaction_is_refused() {
    let rig = Rig::start().await;
    for tried in [true, false] {
        let (proxy, [document, other]) = behind(&rig, 0).await;
        let verdict = if tried {
            let transaction = document.try_transact(increment);
            proxy.release();
            soon("the transaction", transaction).await
        } else {
            let transaction = document.transact(increment);
            proxy.release();
            soon("the transaction", transaction).await
        };
        let Err(TransactError::Rejected(rejected)) = verdict else { panic!("found {verdict:?}") };
        assert_eq!((rejected.code(), rejected.field()), (Code::Conflict, Some("balance")));
        assert_eq!(document.balance(), 10);
        soon("the answer", other.set(Document::BALANCE, 0).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn g6_an_update_in_a_transaction_depends_on_every_field() {
    let rig = Rig::start().await;
    let (proxy, [document, other]) = behind(&rig, 1).await;
    let mut balances = Vec::new();
    let transaction = document.transact(|transaction| {
        transaction.update(|document| {
            balances.push(document.balance);
            document.title = format!("balance {}", document.balance);
            Ok::<(), std::convert::Infallible>(())
        })
    });
    proxy.release();
    assert_eq!(soon("the transaction", transaction).await, Ok(2));
    assert_eq!(balances, [0, 10], "it wrote the title only, and read the balance");
    until(&other, Document::TITLE, "balance 10".into()).await;
}

#[tokio::test]
async fn a_transaction_that_does_not_want_to_or_may_not_changes_nothing() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    let aborted = document.transact(|transaction| {
        transaction.set(Document::TITLE, "half".into());
        Err("no")
    });
    assert_eq!(aborted.await, Err(TransactError::Aborted("no")));
    let invalid = document.try_transact(|transaction| {
        transaction.set(Document::TITLE, "half".into());
        transaction.set(Document::SIZE, 99);
        Ok::<_, ()>(())
    });
    let invalid = invalid.await;
    assert!(
        matches!(invalid, Err(TransactError::Write(WriteError::Invalid(Invalid { ref field, .. }))) if field == "size"),
        "{invalid:?}"
    );
    assert_eq!((document.state(), document.pending()), (Document::default(), 0));
}
