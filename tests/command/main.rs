//! The real `peer-agent`, against the real server.
