//! Connections that no client holds open by being slow, nor fills with what nobody asked for.
//!
//! actix-http is told to limit nothing but the close of a connection. All else is limited here,
//! below it, at the [`socket`], which knows by the [`exchange`] whose turn it is: how long a head, an
//! idle stretch and a response may take, and how much is read. The [`table`] limits their number, in
//! all and per [`address`].

mod address;
mod alarm;
mod closed;
mod exchange;
mod socket;
mod table;

pub use address::AddressBlock;
pub use exchange::{BadHead, Exchange, HEAD_READ_BYTES, HeadSize};
pub use socket::Connection;
pub use table::Connections;
