//! A subscriber that writes everything down, at every level.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Level, Metadata, Subscriber};

/// What happened to it: a span or an event.
#[derive(Clone, Debug)]
pub struct Told {
    /// A span's name, an event's message.
    pub name: String,
    pub level: Level,
    pub target: String,
    /// Without the message.
    pub fields: Vec<(&'static str, String)>,
    /// The name of the span around it.
    pub parent: Option<String>,
}

impl Told {
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|(name, _)| *name).collect()
    }
}

#[derive(Default)]
struct Book {
    spans: Vec<Span>,
    events: Vec<Told>,
    entered: Vec<u64>,
    /// Everything that a field has shown, in every format.
    shown: String,
}

struct Span {
    told: Told,
    handles: usize,
}

type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

#[derive(Clone, Default)]
pub struct Recorder {
    book: Arc<Mutex<Book>>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Recorder {
    /// Records what this does.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        with_default(self.clone(), work)
    }

    /// Does this in every call, named by its method.
    pub fn on_call(&self, hook: impl Fn(&'static str) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    pub fn events(&self) -> Vec<Told> {
        self.book(|book| book.events.clone())
    }

    /// The spans of that name, in the order in which they were opened.
    pub fn spans(&self, name: &str) -> Vec<Told> {
        let all = self.book(|book| book.spans.iter().map(|span| span.told.clone()).collect::<Vec<_>>());
        all.into_iter().filter(|span| span.name == name).collect()
    }

    /// The name of the span that is entered.
    pub fn current(&self) -> Option<String> {
        self.book(|book| book.entered.last().copied().map(|id| book.span(id).told.name.clone()))
    }

    /// How many spans have been opened and not closed.
    pub fn open(&self) -> usize {
        self.book(|book| book.spans.iter().filter(|span| span.handles > 0).count())
    }

    pub fn shown(&self) -> String {
        self.book(|book| book.shown.clone())
    }

    fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn called(&self, method: &'static str) {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(method);
        }
    }
}

impl Book {
    fn told(&mut self, metadata: &Metadata<'_>, parent: Option<u64>, fields: Fields) -> Told {
        self.shown.push_str(&fields.shown);
        Told {
            name: metadata.name().to_owned(),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            fields: fields.values,
            parent: parent.map(|id| self.span(id).told.name.clone()),
        }
    }

    fn span(&mut self, id: u64) -> &mut Span {
        &mut self.spans[usize::try_from(id).unwrap() - 1]
    }
}

/// The parent that was named, or the span that is entered.
fn parent(named: Option<&Id>, contextual: bool, book: &Book) -> Option<u64> {
    if contextual { book.entered.last().copied() } else { named.map(Id::into_u64) }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.called("new_span");
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        self.book(|book| {
            let parent = parent(attributes.parent(), attributes.is_contextual(), book);
            let told = book.told(attributes.metadata(), parent, fields);
            book.spans.push(Span { told, handles: 1 });
            Id::from_u64(book.spans.len() as u64)
        })
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.called("record");
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.book(|book| {
            book.shown.push_str(&fields.shown);
            book.span(id.into_u64()).told.fields.extend(fields.values);
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.called("event");
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.book(|book| {
            let parent = parent(event.parent(), event.is_contextual(), book);
            let message = fields.message.take().unwrap_or_default();
            let told = book.told(event.metadata(), parent, fields);
            book.events.push(Told { name: message, ..told });
        });
    }

    fn enter(&self, id: &Id) {
        self.called("enter");
        self.book(|book| book.entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        self.called("exit");
        let left = self.book(|book| book.entered.pop());
        assert_eq!(left, Some(id.into_u64()), "spans are left in the order in which they were entered");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.book(|book| book.span(id.into_u64()).handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.called("try_close");
        self.book(|book| {
            let span = book.span(id.into_u64());
            span.handles -= 1;
            span.handles == 0
        })
    }
}

#[derive(Default)]
struct Fields {
    values: Vec<(&'static str, String)>,
    message: Option<String>,
    shown: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        writeln!(self.shown, "{}: {value:?} {value:#?}", field.name()).unwrap();
        if field.name() == "message" {
            self.message = Some(format!("{value:?}"));
        } else {
            self.values.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        writeln!(self.shown, "{}: {value}", field.name()).unwrap();
        self.values.push((field.name(), value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let (mut text, mut next) = (value.to_string(), Some(value));
        while let Some(error) = next {
            writeln!(self.shown, "{}: {error} {error:#} {error:?} {error:#?}", field.name()).unwrap();
            next = error.source();
            if let Some(cause) = next {
                write!(text, ": {cause}").unwrap();
            }
        }
        self.values.push((field.name(), text));
    }
}
