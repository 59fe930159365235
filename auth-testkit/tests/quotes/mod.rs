//! Whether each promise of a suite stands in the documentation of its trait.

/// Every promise is a quotation of what the file says in its documentation, word for word.
#[track_caller]
pub(crate) fn assert_quoted(source: &str, clauses: impl IntoIterator<Item = (&'static str, &'static str)>) {
    let lines = source.lines().filter_map(|line| line.trim_start().strip_prefix("///"));
    let words = plain(&lines.map(str::trim).collect::<Vec<_>>().join(" "));

    for (name, promise) in clauses {
        assert!(words.contains(&plain(promise)), "{name}: the trait does not say {promise:?}");
    }
}

/// Without marks, and without the targets of links.
fn plain(text: &str) -> String {
    let mut links = text.split("](");
    let mut words = links.next().unwrap_or_default().to_owned();
    for link in links {
        words.push_str(link.split_once(')').map_or(link, |(_, rest)| rest));
    }
    words.retain(|c| !matches!(c, '*' | '`' | '[' | ']'));
    words
}
