//! The page: a run as one HTML file that needs nothing else.

use super::super::asked::Asked;
use super::super::run::{Run, Violation};
use super::chart::Chart;
use super::lanes::Lanes;
use super::markup::Markup;
use super::say;

/// How to read it.
const HOW: &str = "Time goes from left to right; where nothing happens for a while it is cut short, and hatched where it is \
     more than a second. A dotted line is where new \
     tokens came into force. a1 is an access token, r2 a refresh token. Point at anything to read what it is.";

pub(super) fn page(run: &Run) -> String {
    let end = run.violation.as_ref().map(|violation| violation.at);
    let lanes = Lanes::new(&run.record, end.unwrap_or_default());
    let chart = Chart::new(run, &lanes);
    let mut out = Markup::default();
    out.raw("<!DOCTYPE html>\n");
    out.element("html", &[("lang", &"en")], |out| {
        out.element("head", &[], |out| head(out, run));
        out.element("body", &[], |out| {
            out.element("header", &[], |out| summary(out, run));
            out.element("main", &[], |out| {
                out.element("div", &[("class", &"legend")], |out| {
                    chart.legend(out);
                    out.leaf("p", &[], HOW);
                });
                out.element("div", &[("class", &"chart")], |out| {
                    chart.names(out);
                    chart.picture(out);
                });
                plan(out, run);
                moments(out, run);
            });
        });
    });
    out.finish()
}

fn head(out: &mut Markup, run: &Run) {
    out.empty("meta", &[("charset", &"utf-8")]);
    out.empty("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
    out.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
    let title = match &run.violation {
        Some(violation) => format!("Broken: {}", violation.invariant),
        None => "A simulated run: every promise was kept".to_owned(),
    };
    out.leaf("title", &[], title);
    out.element("style", &[], |out| out.raw(include_str!("page.css")));
}

fn summary(out: &mut Markup, run: &Run) {
    match &run.violation {
        Some(Violation { invariant, message, at, process }) => {
            out.leaf("h1", &[("class", &"broken")], format_args!("✖ {invariant}"));
            out.leaf("p", &[("class", &"sentence")], message);
            let whose = process.map(|process| format!(", in {}", say::process(process))).unwrap_or_default();
            out.leaf("p", &[], format_args!("Noticed at {}{whose}.", say::time(*at)));
        }
        None => out.leaf("h1", &[("class", &"kept")], "✔ Every promise was kept"),
    }
    out.leaf("p", &[], say::summary(run));
    out.leaf("p", &[], format_args!("To run it again: {}.", say::again(&run.plan)));
}

fn plan(out: &mut Markup, run: &Run) {
    out.element("details", &[], |out| {
        out.leaf("summary", &[], format_args!("The plan: {} steps", run.plan.steps.len()));
        out.leaf("pre", &[], run.plan.to_json());
    });
}

fn moments(out: &mut Markup, run: &Run) {
    let asked = Asked::new(&run.plan);
    out.element("details", &[], |out| {
        out.leaf("summary", &[], format_args!("All {} moments", run.record.moments.len()));
        out.element("table", &[], |out| {
            out.element("thead", &[], |out| {
                out.element("tr", &[], |out| {
                    for name in ["when", "who", "what"] {
                        out.leaf("th", &[], name);
                    }
                });
            });
            out.element("tbody", &[], |out| {
                for moment in &run.record.moments {
                    out.element("tr", &[], |out| {
                        out.leaf("td", &[], say::time(moment.at));
                        out.leaf("td", &[], say::who(moment));
                        out.leaf("td", &[], say::sentence(moment, &asked));
                    });
                    out.raw("\n");
                }
                if let Some(Violation { invariant, message, at, .. }) = &run.violation {
                    out.element("tr", &[("class", &"broken")], |out| {
                        out.leaf("td", &[], say::time(*at));
                        out.leaf("td", &[], format_args!("✖ {invariant}"));
                        out.leaf("td", &[], message);
                    });
                }
            });
        });
    });
}

#[cfg(test)]
mod tests;
