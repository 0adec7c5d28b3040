//! The window functions: one file a function. Every aggregate works over windows, too.

use std::sync::Arc;

use datafusion_expr::WindowUDF;

mod health_normalize;
mod session_start;

/// Every window function, in the order of their names.
pub(crate) fn all() -> Vec<Arc<WindowUDF>> {
    [
        WindowUDF::from(health_normalize::HealthNormalize::new()),
        WindowUDF::from(session_start::SessionStart::new()),
    ]
    .map(Arc::new)
    .into()
}
