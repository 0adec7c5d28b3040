//! Events that never happened: the workload generator and the demonstration product.
//!
//! Owns what is generated and in which order; not where it goes. Invariant: the same
//! configuration gives the same bytes on every machine, because all randomness comes from one
//! seeded ChaCha stream and every computation is integer arithmetic or IEEE's exactly rounded
//! operations (no `ln`, no `exp`, which differ by platform).

mod account;
mod calendar;
mod chunk;
mod demo;
mod demo_account;
mod demo_business;
mod demo_fate;
mod demo_user;
mod parquet_file;
mod population;
mod render;
mod session;
mod vocabulary;
mod workload;

pub use chunk::{SimulatedChunk, simulated_schema};
pub use demo::{DEMO_ACCOUNTS, DEMO_DAYS, Demo, DemoConfig};
pub use parquet_file::write_parquet;
pub use vocabulary::{EVENT_NAMES, FEATURES};
pub use workload::{Simulation, SimulationConfig, SimulationError};
