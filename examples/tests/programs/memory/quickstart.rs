//! The note of the quickstart.

use shared_state::testing::Pair;
use shared_state_examples::quickstart::Note;

#[test]
fn stars_given_offline_all_count_and_the_last_title_stays() {
    let mut pair = Pair::new(Note::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.disconnect();
    for who in [&ann, &ben] {
        who.add_stars(2).expect("valid");
    }
    ann.set_title("offline").expect("valid");
    ben.set_title("online").expect("valid");
    pair.sync();
    ann.connect();
    pair.sync();
    assert_eq!(ann.state(), Note { title: "offline".to_owned(), stars: 4 });
    assert_eq!(ben.state(), ann.state());
}
