//! A rule that reads fields which its author may not read answers no questions about them.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::server::{Handshake, Roles, Server, ServerBuilder};
use shared_state::{Author, SharedState};
use shared_state_tests::start;

use crate::common::client::{Client, connect_with};

const RESERVE: u32 = 7_777;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate = Ruled::check)]
struct Ruled {
    bid: u32,
    #[shared(read = "seller")]
    reserve: u32,
    #[shared(validate(range(max = 9)))]
    size: u8,
}

impl Ruled {
    fn check(&self) -> Result<(), String> {
        if self.bid == 0 || self.bid >= self.reserve {
            Ok(())
        } else {
            Err(format!("below {}", self.reserve))
        }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate_change = Changed::check)]
struct Changed {
    bid: u32,
    #[shared(read = "seller")]
    reserve: u32,
    size: u8,
}

impl Changed {
    fn check(_: &Self, after: &Self, _: &Author) -> Result<(), String> {
        if after.bid == 0 || after.bid >= after.reserve {
            Ok(())
        } else {
            Err(format!("below {}", after.reserve))
        }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Hooked {
    bid: u32,
    #[shared(read = "seller")]
    reserve: u32,
    size: u8,
}

fn builder() -> ServerBuilder {
    let hook = |_: &Hooked, after: &Hooked, _: &Author| {
        if after.bid == 0 || after.bid >= after.reserve {
            Ok(())
        } else {
            Err(format!("below {}", after.reserve))
        }
    };
    Server::builder()
        .rooms("ruled", || Ruled { reserve: RESERVE, ..Ruled::default() })
        .rooms("changed", || Changed { reserve: RESERVE, ..Changed::default() })
        .rooms_with("hooked", || Hooked { reserve: RESERVE, ..Hooked::default() }, hook)
        .authenticate(|handshake: Handshake| {
            let user = handshake.bearer().or(handshake.query("token")).unwrap_or_default();
            ready(Ok::<_, Infallible>(user.to_owned()))
        })
        .user_id(|user: &String| user.clone())
        .roles(|user: &String, _: &str| if user == "seller" { Roles::from(["seller"]) } else { Roles::NONE })
}

async fn come(address: SocketAddr, user: &str, room: &str, number: usize) -> Client {
    let mut client = connect_with(address, Some(user)).await;
    let id = format!("{user}-{number}-------------------");
    client.send(json!({"type": "hello", "payload": {"client": id}})).await;
    client.expect("welcome").await;
    client.join(room).await;
    client
}

#[tokio::test]
async fn g12_bids_do_not_find_out_a_reserve_price() {
    let (_server, address) = start(builder()).await;
    for room in ["ruled", "changed", "hooked"] {
        let mut seller = come(address, "seller", room, 1).await;
        seller.set(room, 1, 0, "bid", json!(1)).await;
        let told = seller.expect("state:reject").await;
        assert!(told["message"].as_str().unwrap().contains("7777"), "{told}");

        let (mut refused, mut stopped) = (0, 0);
        for number in 0..4 {
            // Another connection, and another client, of the same user has no other budget.
            let mut eve = come(address, "eve", room, number).await;
            for seq in 1..=8 {
                eve.set(room, seq, 0, "bid", json!(seq)).await;
                let answer = eve.expect("state:reject").await;
                assert!(!answer.to_string().contains("7777") && answer.get("field").is_none(), "{answer}");
                match answer["code"].as_str() {
                    Some("invalid") => {
                        assert_eq!(answer["message"], "the change breaks a rule of the room");
                        refused += 1;
                    }
                    Some("too_often") => stopped += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        // One more each ten seconds.
        assert!((10..13).contains(&refused) && stopped > 0, "{refused} and {stopped}");
        let mut hook = Client::hook_at(address, "/ws?token=eve").await;
        hook.send(json!({"type": "state:update", "room": room, "payload": {"key": "bid", "value": 9}})).await;
        let error = hook.next().await;
        assert!(error["type"] == "room:error" && !error.to_string().contains("7777"), "{error}");
        // Others are not affected.
        let mut ann = come(address, "ann", room, 1).await;
        ann.set(room, 1, 0, "bid", json!(8_000)).await;
        ann.expect("state:ack").await;
    }
}

#[tokio::test]
async fn a_rule_about_the_written_field_says_what_is_wrong() {
    let (_server, address) = start(builder()).await;
    let mut eve = come(address, "eve", "ruled", 1).await;
    for seq in 1..=20 {
        eve.set("ruled", seq, 0, "size", json!(10)).await;
        let answer = eve.expect("state:reject").await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!("invalid"), &json!("size")), "{answer}");
    }
}
