//! Events and states: what a listener and a watcher see.
