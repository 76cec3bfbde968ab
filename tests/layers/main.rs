//! The layers of the sources, checked by searching their text.

mod circles;
mod names;
