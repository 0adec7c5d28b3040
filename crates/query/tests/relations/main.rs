//! The relations of health over small stores, each in four layouts of the same rows.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod world;

mod arguments;
mod behaviour;
mod columns;
mod edges;
mod known_answers;
mod known_at;
mod models;
mod plain;
mod population;
mod properties;
mod retention;
mod signals;
mod time;
mod views;
