//! The shape of the sources, held by their text.

mod circles;
mod names;
