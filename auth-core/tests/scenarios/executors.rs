//! Executors: the same promises without a runtime, on one thread and on several.
