//! The end of the hour: sums, and what was promised.

use std::error::Error as StdError;

use crate::acts::Story;

pub(crate) fn report(story: &Story) -> Result<(), Box<dyn StdError>> {
    let counters = story.session.counters();
    println!("\n== What the session has counted");
    for metric in counters.metrics() {
        let attributes: Vec<_> =
            metric.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = format!("{:>7}  {} {}", metric.value, metric.name, attributes.join(" "));
        println!("{}", line.trim_end());
    }

    let (seen, tally) = (story.server.seen(), story.phone.tally().clone());
    println!("\n== What was promised, and held");
    let mut broken = Vec::new();
    let mut promise = |holds: bool, text: String| {
        println!("{}  {text}", if holds { "   held" } else { " BROKEN" });
        if !holds {
            broken.push(text);
        }
    };
    promise(
        seen.most_at_once == 1,
        format!(
            "one refresh at a time: {} token requests ({} granted, {} refused, {} in the outage, {} lost)",
            seen.token_requests, seen.granted, seen.refused, seen.unavailable, seen.lost
        ),
    );
    promise(
        seen.replayed_grants == 0 && seen.asked_again == 1,
        format!("no refresh token is presented twice, but for {} whose answer was lost", seen.asked_again),
    );
    promise(
        counters.ended == 1 && seen.refused == 1,
        format!("an outage signs nobody out: sessions ended by the server's word alone: {}", counters.ended),
    );
    promise(
        counters.late == 4,
        format!("a late rejection refreshes nothing: {} requests were just sent again", counters.late),
    );
    promise(
        seen.crossed == 0,
        format!("nothing is sent as somebody else: {} requests have reached the API", seen.api_requests),
    );
    promise(
        seen.revoked == 1,
        format!("what a refresh brings for nobody is given back: {} pair revoked", seen.revoked),
    );
    let failed: Vec<_> = tally.failed.iter().map(|(advice, count)| format!("{advice} ({count})")).collect();
    promise(
        tally.settled() == tally.made,
        format!(
            "every request settles: {} made, {} answered, {} answered 401, the rest failed with advice: {}",
            tally.made,
            tally.answered,
            tally.rejected,
            failed.join(", ")
        ),
    );
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {broken:?}").into()) }
}
