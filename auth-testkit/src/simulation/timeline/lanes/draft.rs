//! Lanes that are being filled, moment by moment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::super::record::{Moment, What};
use super::{Lane, Mark, Of, Own, Phase, Sign, Span};

/// Lanes that are being filled.
#[derive(Default)]
pub(super) struct Draft {
    lanes: BTreeMap<Of, Lane>,
}

impl Draft {
    pub(super) fn lane(&mut self, of: Of) -> &mut Lane {
        self.lanes.entry(of).or_insert_with(|| Lane::new(of))
    }

    pub(super) fn add(&mut self, index: usize, moment: &Moment) {
        let here = Here { index, at: moment.at, process: moment.process };
        match Of::moment(moment) {
            of @ Of::World => {
                let sign = match moment.what {
                    What::Healed => Sign::Healed,
                    _ => Sign::Meddled,
                };
                self.lane(of).mark(here, sign, String::new());
            }
            Of::Endpoint | Of::Store => self.call(here, &moment.what),
            Of::Process(_, Own::Request(request)) => self.request(here, request, &moment.what),
            Of::Process(_, Own::Session | Own::Flights) => self.session(here, &moment.what),
        }
    }

    /// The lanes that hold anything, now that the record is over.
    pub(super) fn close(self, end: Duration) -> Vec<Lane> {
        let mut all: Vec<Lane> = self.lanes.into_values().collect();
        all.iter_mut().for_each(|lane| lane.close(end));
        all.retain(|lane| lane.reach().is_some());
        all
    }

    /// The lanes of this process's requests.
    pub(super) fn requests(&mut self, process: u32) -> impl Iterator<Item = &mut Lane> {
        let (first, last) =
            (Of::Process(process, Own::Request(0)), Of::Process(process, Own::Request(u32::MAX)));
        self.lanes.range_mut(first..=last).map(|(_, lane)| lane)
    }
}

/// The moment that is being drawn.
#[derive(Clone, Copy)]
pub(super) struct Here {
    pub(super) index: usize,
    pub(super) at: Duration,
    pub(super) process: u32,
}

/// What is open in a lane, so that its end finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A request has one span at a time.
    Request,
    Flight(u64),
    /// A flight whose number has not been told yet.
    Unnamed,
    /// What a flight does: a call of the store or of the token endpoint.
    Part(Of, u32),
    Call(u32),
    Lock,
    State,
}

impl Lane {
    fn new(of: Of) -> Self {
        Self { of, spans: Vec::new(), marks: Vec::new(), rows: 1, open: Vec::new() }
    }

    pub(super) fn begin(&mut self, here: Here, key: Key, phase: Phase, label: String) {
        self.begin_on(None, here, key, phase, label);
    }

    /// Something begins, as a part of this span.
    pub(super) fn begin_on(&mut self, on: Option<usize>, here: Here, key: Key, phase: Phase, label: String) {
        self.open.push((key, self.spans.len()));
        let Here { index, at, process } = here;
        let span = Span { from: at, to: at, phase, process, row: 0, label, began: index, ended: None, on };
        self.spans.push(span);
    }

    /// What is open under this key ends; which that is.
    pub(super) fn finish(&mut self, here: Here, key: Key) -> Option<usize> {
        let at = self.open.iter().position(|(open, _)| *open == key)?;
        let (_, index) = self.open.remove(at);
        self.spans[index].ends(here);
        Some(index)
    }

    /// Everything that is open ends.
    pub(super) fn finish_all(&mut self, here: Here) {
        for (_, index) in std::mem::take(&mut self.open) {
            self.spans[index].ends(here);
        }
    }

    /// The latest of those that are open.
    pub(super) fn latest(&self, is: impl Fn(Key, &Span) -> bool) -> Option<usize> {
        let mut open = self.open.iter().rev();
        open.find(|(key, index)| is(*key, &self.spans[*index])).map(|(_, index)| *index)
    }

    pub(super) fn mark(&mut self, here: Here, sign: Sign, label: String) {
        self.mark_on(None, here, sign, label);
    }

    pub(super) fn mark_on(&mut self, on: Option<usize>, here: Here, sign: Sign, label: String) {
        self.marks.push(Mark { at: here.at, sign, row: 0, label, moment: here.index, on });
    }

    /// The record is over: everything gets its row, and what took no time at all and says nothing goes.
    fn close(&mut self, end: Duration) {
        for (_, index) in self.open.drain(..) {
            let span = &mut self.spans[index];
            if span.ended.is_none() {
                span.to = end;
            }
        }
        // Until when each row is taken.
        let mut taken: Vec<Duration> = Vec::new();
        for span in self.spans.iter_mut().filter(|span| span.on.is_none()) {
            span.row = taken.iter().position(|until| *until <= span.from).unwrap_or(taken.len());
            taken.resize(taken.len().max(span.row + 1), Duration::ZERO);
            taken[span.row] = if span.ended.is_some() { span.to } else { Duration::MAX };
        }
        self.rows = taken.len().max(1);
        let rows: Vec<usize> = self.spans.iter().map(|span| span.row).collect();
        let row = |on: Option<usize>| on.map(|on| rows[on]);
        self.spans.iter_mut().for_each(|span| span.row = row(span.on).unwrap_or(span.row));
        self.marks.iter_mut().for_each(|mark| mark.row = row(mark.on).unwrap_or(0));
        self.marks.sort_by_key(|mark| mark.at);
        self.spans.retain(|span| span.phase != Phase::Queued || span.to > span.from);
    }
}

impl Span {
    pub(super) fn ends(&mut self, here: Here) {
        (self.to, self.ended) = (here.at, Some(here.index));
    }
}
