//! Nothing but dependencies: see the manifest.
#![forbid(unsafe_code)]
