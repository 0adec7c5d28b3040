//! The wire: Vitalog's gRPC services over a store and a query engine.
//!
//! It owns what stands between a client and the store: messages and their limits, the codes of
//! errors, queues, deadlines, streams, shutdown. It does not own what an event is
//! (`vitalog-event`), how it is kept (`vitalog-store`) or what SQL means (`vitalog-query`). The
//! promises to clients stand in the comments of `proto/` and in `docs/clients/grpc.md`.
//!
//! Invariants: an append is answered after the log has answered; nothing that blocks runs on the
//! reactor; whatever a client sends, the answer is a status, never a panic; what a client leaves
//! behind is freed.
#![forbid(unsafe_code)]

mod admission;
mod append;
mod auth;
mod catalog;
mod columns;
mod config;
mod deadline;
mod events;
mod fault;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod health;
mod http;
mod instant;
pub mod limits;
mod listener;
mod listing;
mod metrics;
mod models;
mod nearest;
mod outbox;
mod query;
mod read;
mod readers;
mod reason;
mod record;
pub mod rows;
mod seldom;
mod server;
mod services;
mod snapshots;
mod split;
mod statements;
mod tls;
mod token;
mod upkeep;
mod views;
mod web;
mod words;

pub use auth::{Access, Scope, SigningKey, TokenError, TokenLine, Tokens, random_secret};
pub use config::{ServerConfig, SnapshotConfig};
pub use fault::{ERROR_DOMAIN, Reason};
pub use server::{Server, ServerError, ServerHandle, Shutdown};
pub use tls::{ClientAuthority, Tls, TlsError, TlsFiles};
