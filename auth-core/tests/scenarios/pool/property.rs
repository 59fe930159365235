//! The pool under any sequence of events: never more than the bound, and nothing busy is ever evicted.
