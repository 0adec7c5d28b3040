//! What the end-to-end tests share: starting the binary, talking to it over gRPC, events whose
//! content follows from their number, and reading a store's rows from outside.
//!
//! It owns no expectation about the product; those stand in the tests. Everything here fails
//! loudly: a test that cannot do what it set out to do panics, unless [`skip`] says why not.
#![forbid(unsafe_code)]

mod binary;
mod client;
mod event;
mod page;
mod rows;
mod surroundings;

pub use binary::{Outcome, Serving, Vitalog};
pub use client::{Client, is_broken_connection};
pub use event::Event;
pub use page::Page;
pub use rows::{Row, for_each_row};
pub use surroundings::{
    clients_java, clients_node, clients_python, copy_directory, python, shared_data, skip,
};
