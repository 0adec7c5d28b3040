//! `EventService.AppendStream` and `GetWriterState` against a real server.
#![allow(clippy::unwrap_used)]

mod acks;
mod counts;
mod ends;
mod faults;
mod flow;
#[path = "../support/mod.rs"]
mod support;
mod writer;
