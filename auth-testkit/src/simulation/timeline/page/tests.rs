//! Tests of the page.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_core::ErrorKind;

use super::super::scenes::{self, Scene};
use super::*;
use crate::simulation::{Action, Fate, Record, RequestKind, Simulation, What};

/// One tag: its name, what it has, and how it is closed.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Opens,
    Closes,
    Empty,
}

/// The tags of some markup, whose text and attributes are looked at on the way.
fn tags(markup: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = markup.strip_prefix("<!DOCTYPE html>").unwrap_or(markup);
    while let Some(at) = rest.find('<') {
        is_text(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        tags.push(tag(&rest[..end]));
        rest = &rest[end + 1..];
    }
    is_text(rest);
    tags
}

fn tag(inside: &str) -> Tag<'_> {
    let (inside, kind) = match (inside.strip_prefix('/'), inside.strip_suffix('/')) {
        (Some(inside), _) => (inside, Kind::Closes),
        (_, Some(inside)) => (inside, Kind::Empty),
        _ => (inside, Kind::Opens),
    };
    let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric()), "<{inside}> has a name");
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{inside}> has attributes"));
        let (value, after) = value.split_once('"').expect("a value ends");
        is_text(value);
        attributes.push((name.trim(), value));
        rest = after;
    }
    let names: BTreeSet<_> = attributes.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), attributes.len(), "<{inside}> has nothing twice");
    Tag { name, attributes, kind }
}

/// No `&` but of what is escaped.
fn is_text(text: &str) {
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;"].iter().any(|name| part.starts_with(name));
        assert!(known, "&{part} is not escaped");
    }
}

/// Panics unless every element ends where it should.
fn is_well_formed(markup: &str) {
    let mut open = Vec::new();
    for Tag { name, kind, .. } in tags(markup) {
        match kind {
            Kind::Opens => open.push(name),
            Kind::Closes => assert_eq!(open.pop(), Some(name), "</{name}> closes what is open"),
            Kind::Empty => {}
        }
    }
    assert!(open.is_empty(), "{open:?} stays open");
}

/// The values of this attribute, wherever it is.
fn values<'a>(tags: &'a [Tag<'_>], name: &str) -> BTreeSet<&'a str> {
    let all = tags.iter().flat_map(|tag| &tag.attributes);
    all.filter(|(attribute, _)| *attribute == name).map(|(_, value)| *value).collect()
}

#[test]
fn a_page_is_well_formed_whatever_has_happened() {
    is_well_formed(&scenes::storm().html());
    is_well_formed(&scenes::broken().html());
    let simulation = Simulation::new();
    for seed in 0..40 {
        is_well_formed(&simulation.run(&simulation.plan(seed)).html());
    }
}

#[test]
fn the_same_run_is_the_same_page() {
    let simulation = Simulation::new();
    let plan = simulation.plan(3);

    assert_eq!(simulation.run(&plan).html(), simulation.run(&plan).html());
}

#[test]
fn a_page_needs_nothing_else() {
    let page = scenes::broken().html();

    for outside in ["http:", "https:", "//", "src=", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "there is {outside} in the page");
    }
}

#[test]
fn every_shape_and_pattern_that_is_used_is_there() {
    let simulation = Simulation::new();
    for page in (0..20).map(|seed| simulation.run(&simulation.plan(seed)).html()) {
        let tags = tags(&page);
        let there = values(&tags, "id");
        for used in values(&tags, "href") {
            assert!(there.contains(used.trim_start_matches('#')), "{used}");
        }
        let patterns = page.split("url(#").skip(1).filter_map(|rest| rest.split_once(')'));
        for (used, _) in patterns {
            assert!(there.contains(used), "{used}");
        }
    }
}

#[test]
fn every_class_has_a_style() {
    let style = include_str!("../page.css");
    let simulation = Simulation::new();
    for page in (0..20).map(|seed| simulation.run(&simulation.plan(seed)).html()) {
        for class in values(&tags(&page), "class").iter().flat_map(|classes| classes.split(' ')) {
            assert!(style.contains(&format!(".{class}")), "{class}");
        }
    }
}

#[test]
fn whatever_is_in_a_lane_says_what_it_is() {
    let page = scenes::storm().html();
    let lanes = page.split("<g class=\"lane\">").skip(1).map(|lane| lane.split("</g>").next().unwrap());

    for lane in lanes {
        let bars = lane.matches("<rect class=").count() - lane.matches("class=\"over\"").count();
        let shapes = lane.matches("<use ").count() - lane.matches("href=\"#open\"").count();
        assert_eq!(lane.matches("<title>").count(), bars + shapes, "{lane}");
    }
    assert!(page.contains(
        "waits for a token, 90.004 s to 90.03601 s (32.01 ms)\np0 request 1: is answered 401\nis sent again"
    ));
}

#[test]
fn a_broken_promise_is_named_and_shown_where_it_was_broken() {
    let page = scenes::broken().html();

    let sentence = "r2 was presented again, though the answer to &lt;call 1&gt; &amp; its tokens had arrived";
    assert_eq!(page.matches(sentence).count(), 4, "above all, at the line, in its title, and in the list");
    assert!(page.contains("<h1 class=\"broken\">✖ no-reuse</h1>"));
    assert!(page.contains("process p0 ✖"), "it is said in which process");
    assert_eq!(page.matches("<line class=\"broken\"").count(), 1);
    assert!(!scenes::storm().html().contains("<line class=\"broken\""));
}

#[test]
fn new_tokens_and_a_kill_go_through_all_that_is_the_processs() {
    let mut scene = Scene::default();
    scene.submitted(1).sent(1, 1).at(10).add(What::Killed);
    let killed = Run { record: scene.record(), ..scenes::storm() };

    assert_eq!(scenes::storm().html().matches("<line class=\"release\"").count(), 1);
    assert_eq!(killed.html().matches("<line class=\"kill\"").count(), 1);
}

#[test]
fn what_the_record_ends_before_reaches_beyond_its_end() {
    let page = scenes::broken().html();

    // The token request, the session's state, the second flight and its part, the request that waits.
    assert_eq!(page.matches("<use href=\"#open\"").count(), 5);
    assert!(page.contains("the record ends before it does"));
    let (_, line) = page.split_once("<line class=\"broken\" x1=\"").unwrap();
    let end: f64 = line.split('"').next().unwrap().parse().unwrap();
    for open in page.split("<use href=\"#open\" x=\"").skip(1) {
        assert!(open.split('"').next().unwrap().parse::<f64>().unwrap() > end);
    }
}

#[test]
fn there_are_times_above_and_the_first_is_the_beginning() {
    let page = scenes::broken().html();

    assert!(page.contains("<text class=\"time\" x=\"26\" y=\"41\" text-anchor=\"middle\">0</text>"));
    assert!(page.matches("<text class=\"time\"").count() > 5);
}

#[test]
fn what_happens_at_once_stands_side_by_side() {
    let page = scenes::broken().html();

    assert!(page.contains("<use href=\"#s-started\" x=\"26\""));
    assert!(page.contains("<use href=\"#s-sign-in\" x=\"37\""));
}

#[test]
fn the_plans_words_are_written_as_far_as_there_is_room() {
    let mut scene = Scene::default();
    for number in 0..30 {
        scene.add(What::Meddled(format!("fault {number}")));
    }
    let run = Run { record: scene.record(), ..scenes::storm() };

    let page = run.html();

    assert_eq!(page.matches("<use href=\"#s-meddled\"").count(), 30 + 1, "all of them, and the legend");
    let (picture, _) = page.split_once("<details>").unwrap();
    assert_eq!(picture.matches(">fault ").count(), 8);
}

#[test]
fn a_request_says_what_is_special_about_it() {
    let mut run = scenes::storm();
    run.plan.steps[3].what = Action::Request { kind: RequestKind::NoReplay, fate: Fate::Polled };

    let page = run.html();

    assert!(
        page.contains(
            ">request 4<tspan dx=\"6\">no replay</tspan><title>a request (NoReplay, Polled)</title>"
        )
    );
}

#[test]
fn what_a_run_says_is_text() {
    let mut run = scenes::broken();
    let violation = run.violation.as_mut().unwrap();
    violation.message = "</p><script>alert(\"1\")</script> & more".to_owned();
    run.record.moments.last_mut().unwrap().what = What::Meddled("<b onclick='x'>\u{1}".to_owned());

    let page = run.html();

    is_well_formed(&page);
    assert!(!page.contains("<script") && !page.contains("<b onclick") && !page.contains('\u{1}'));
}

#[test]
fn there_is_a_lane_for_each_request_and_a_row_for_each_moment() {
    let run = scenes::storm();

    let page = run.html();

    for request in 1..=8 {
        assert!(page.contains(&format!(">request {request}<")));
    }
    assert_eq!(page.matches("<tr>").count(), 1 + run.record.moments.len());
    assert!(page.contains("&quot;seed&quot;"), "the plan is there");
}

#[test]
fn a_run_of_three_thousand_moments_is_far_below_a_megabyte() {
    let mut scene = Scene::default();
    for request in 1..=500 {
        let at = u64::from(request) * 2_000;
        scene.at(at).submitted(request).sent(request, 1).at(at + 700).answered(request, 401);
        scene.at(at + 900).replayed(request, 3, 0).at(at + 1_500).answered(request, 200);
        scene.settled(request, if request % 2 == 0 { Ok(200) } else { Err(ErrorKind::Transport) });
    }
    let run = Run { record: scene.record(), ..scenes::storm() };
    assert_eq!(run.record.moments.len(), 3_000);

    let bytes = run.html().len();

    assert!(bytes < 900_000, "{bytes}");
}

#[test]
fn a_run_in_which_nothing_happened_has_a_page() {
    let run = Run { record: Record::default(), ..scenes::storm() };

    is_well_formed(&run.html());
}

#[test]
fn a_violation_long_after_everything_stands_at_the_end() {
    let mut run = scenes::broken();
    run.violation.as_mut().unwrap().at = Duration::from_secs(60);

    let page = run.html();

    is_well_formed(&page);
    assert!(page.contains("nothing happens for 59.9 s"));
}
