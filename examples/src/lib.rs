//! Programs that show the framework at work. The README's code is compiled here.
