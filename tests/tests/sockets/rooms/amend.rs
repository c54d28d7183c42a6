//! Changes that the program's hooks amend, as their author and others see them, in both dialects.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::future::ready;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::client::Handle;
use shared_state::server::{Handshake, ProposedChange, Roles, RoomHooks, Server, Verdict};
use shared_state_tests::{Hook, accepted, builder, live, start, until};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Game {
    word: String,
    #[shared(set)]
    log: BTreeSet<String>,
    #[shared(read_only)]
    moves: u32,
    #[shared(read = "dealer")]
    secret: String,
}

struct Rules;

impl RoomHooks<Game> for Rules {
    fn on_change(&self, change: &ProposedChange<'_, Game>) -> Result<Verdict<Game>, String> {
        let number = change.before.moves + 1;
        Ok(match change.after.word.as_str() {
            word if word.starts_with("count") => Verdict::amended(change, |game| {
                game.moves = number;
                game.log.insert(format!("move {number}"));
                game.secret = format!("sealed {number}");
            }),
            "other" => Verdict::Replace(vec![
                Game::WORD.set("instead".to_owned()),
                Game::SECRET.set("sealed instead".to_owned()),
            ]),
            "secretly" => Verdict::Replace(vec![Game::SECRET.set("sealed alone".to_owned())]),
            _ => Verdict::Accept,
        })
    }
}

/// Waits until a client has this version; returns its state.
async fn at(game: &Handle<Game>, version: u64) -> Game {
    until(game, "the version", |game| game.version() >= version).await;
    game.state()
}

async fn set_word(hook: &mut Hook, word: &str) {
    let update = json!({"key": "word", "value": word});
    hook.send(json!({"type": "state:update", "room": "game", "payload": update})).await;
}

/// The fields that a legacy client is sent next.
async fn told(hook: &mut Hook) -> Value {
    hook.expect("state:merge", "game").await["data"].take()
}

#[tokio::test]
async fn an_amendment_reaches_its_author_and_all_others_and_shows_nothing_that_is_hidden() {
    let server = Server::builder()
        .rooms_with("game", Game::default, Rules)
        .authenticate(|handshake: Handshake| {
            ready(Ok::<_, String>(handshake.bearer().unwrap_or_default().to_owned()))
        })
        .roles(|user: &String, _: &str| Roles::from_iter([user.as_str()]));
    let (_server, address) = start(server).await;
    let (ann, dan) = (builder(address).connect(), builder(address).bearer("dealer").connect());
    let (ann, dan) = (ann.room("game").state(Game::default()), dan.room("game").state(Game::default()));
    live(&ann).await;
    live(&dan).await;
    let (mut author, mut other) = (Hook::connect(address).await, Hook::connect(address).await);
    for hook in [&mut author, &mut other] {
        hook.send(json!({"type": "state:sync:request", "room": "game", "payload": {}})).await;
        let data = json!({"word": "", "log": [], "moves": 0});
        assert_eq!(hook.expect("state:sync", "game").await, json!({"data": data}));
    }
    let log = |moves: u32| (1..=moves).map(|number| format!("move {number}")).collect::<BTreeSet<_>>();
    let game = |word: &str, moves, secret: &str| Game {
        word: word.to_owned(),
        log: log(moves),
        moves,
        secret: secret.to_owned(),
    };

    // A native client's change is extended.
    assert_eq!(accepted(ann.set_word("count")).await, 1);
    assert_eq!(at(&ann, 1).await, game("count", 1, ""));
    assert_eq!(at(&dan, 1).await, game("count", 1, "sealed 1"));
    for hook in [&mut author, &mut other] {
        assert_eq!(told(hook).await, json!({"word": "count", "log": log(1), "moves": 1}));
    }
    // A legacy client's change is extended too, and its author is sent the result like everyone else.
    set_word(&mut author, "count again").await;
    for hook in [&mut author, &mut other] {
        assert_eq!(told(hook).await, json!({"word": "count again", "log": log(2), "moves": 2}));
    }
    assert_eq!(at(&ann, 2).await, game("count again", 2, ""));
    assert_eq!(at(&dan, 2).await, game("count again", 2, "sealed 2"));

    // Both changes are replaced, by another update and by one that only some may see.
    let mut version = 2;
    for (word, secret) in [("other", "sealed instead"), ("secretly", "sealed alone")] {
        version += 1;
        set_word(&mut author, word).await;
        let instead = json!({"word": "instead"});
        assert_eq!(told(&mut author).await, instead, "{word}");
        if word == "other" {
            let update = json!({"key": "word", "value": "instead"});
            assert_eq!(other.expect("state:update", "game").await, update);
        }
        assert_eq!(at(&ann, version).await, game("instead", 2, ""), "{word}");
        assert_eq!(at(&dan, version).await, game("instead", 2, secret), "{word}");

        version += 1;
        assert_eq!(accepted(ann.set_word(word)).await, version);
        assert_eq!(at(&ann, version).await, game("instead", 2, ""), "{word}");
        assert_eq!(at(&dan, version).await, game("instead", 2, secret), "{word}");
        if word == "other" {
            for hook in [&mut author, &mut other] {
                let update = json!({"key": "word", "value": "instead"});
                assert_eq!(hook.expect("state:update", "game").await, update);
            }
        }
        author.expect_silence().await;
        other.expect_silence().await;
    }
}
