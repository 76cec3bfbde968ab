//! Both sides against each other, and each against what an attacker can do.

mod bounds;
mod handshakes;
mod servers;
mod support;
mod tampering;
