//! The dashboard: people move and configure widgets at the same time.

use std::time::Duration;

use shared_state::testing::{Pair, Simulation};
use shared_state_examples::dashboard::{Dashboard, Kind, Position, Widget, rules};

fn at(x: u32, y: u32) -> Position {
    Position { x, y }
}

#[test]
fn two_who_change_one_widget_both_succeed() {
    let mut pair = Pair::new(Dashboard::default()).rules(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.widgets().push(Widget::new("sales", Kind::Chart)).expect("valid");
    pair.sync();
    ann.widgets().at("sales").config().put("color".to_owned(), "red".to_owned()).expect("valid");
    ben.widgets().at("sales").config().put("unit".to_owned(), "EUR".to_owned()).expect("valid");
    ben.widgets().at("sales").set_kind(Kind::Table).expect("valid");
    pair.sync();
    let state = ann.state();
    let widget = state.widgets.iter().next().expect("the widget");
    assert_eq!((widget.config.len(), widget.kind), (2, Kind::Table));
    assert_eq!(ben.state(), state);
}

#[test]
fn a_drag_ends_where_it_was_dropped() {
    let mut pair = Pair::new(Dashboard::default()).rules(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.widgets().push(Widget::new("sales", Kind::Chart)).expect("valid");
    pair.sync();
    for step in 0..=10 {
        let to = at(0, 0).towards(at(500, 300), step, 10);
        ann.widgets().at("sales").set_position(to).expect("valid");
        pair.advance(Duration::from_millis(5));
    }
    pair.advance(Duration::from_millis(50));
    let position = ben.read(|state| state.widgets.iter().next().map(|widget| widget.position));
    assert_eq!(position, Some(at(500, 300)));
}

#[test]
fn of_a_narrower_canvas_and_a_widget_at_its_edge_the_second_is_refused() {
    let mut pair = Pair::new(Dashboard::default()).rules(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.widgets().push(Widget::new("sales", Kind::Chart)).expect("valid");
    pair.sync();
    let narrower = ann.layout().set_width(600).expect("valid");
    let moved = ben.widgets().at("sales").set_position(at(900, 0)).expect("valid");
    pair.advance(Duration::from_millis(100));
    let answers = [narrower.answer().expect("answered"), moved.answer().expect("answered")];
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].to_string().contains("sales is not within 600x800"), "{refused:?}");
    assert_eq!(ann.state(), ben.state());
}

#[test]
fn whatever_people_do_every_widget_lies_on_the_canvas() {
    let report = Simulation::new(Dashboard::default())
        .rules(rules)
        .invariant("on the canvas", |state: &Dashboard| {
            let author = shared_state::Author::new("ann");
            rules(state, state, &author)
        })
        .seeds(20);
    assert!(report.acknowledged > 0, "{report:?}");
}
