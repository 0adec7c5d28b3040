//! One statement from its text to its last written row, and how it may end.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

use super::backend::Backend;
use super::catalog::Catalog;
use super::format::{OutputFormat, Screen, answer_writer};

/// Runs statements, one after another.
pub(super) struct Executor {
    backend: Backend,
    // Dropped after the backend, whose connections live on it.
    runtime: Runtime,
    /// What stops a running statement, made anew for each.
    interrupt: Interrupt,
}

/// Makes a future that ends when the running statement is to stop.
pub(super) type Interrupt = Box<dyn Fn() -> BoxFuture<'static, ()>>;

/// How a statement ended, when not with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With its last row.
    Done(Summary),
    /// By the interrupt; what was written until then stays.
    Cancelled,
    /// Whoever read the output has gone.
    OutputClosed,
}

/// What an answer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub rows: usize,
    pub elapsed: Duration,
    /// What the reader should know of what is not shown.
    pub notes: Vec<String>,
}

impl Summary {
    /// `3 rows`, with the time where it is asked for.
    pub fn describe(&self, is_timed: bool) -> String {
        let rows = self.rows;
        let noun = if rows == 1 { "row" } else { "rows" };
        if !is_timed {
            return format!("({rows} {noun})");
        }
        let milliseconds = self.elapsed.as_secs_f64() * 1e3;
        if milliseconds < 1e3 {
            format!("({rows} {noun}, {milliseconds:.1} ms)")
        } else {
            format!("({rows} {noun}, {:.2} s)", milliseconds / 1e3)
        }
    }
}

impl Executor {
    /// An executor whose backend is made on its runtime.
    ///
    /// # Errors
    /// No threads, or no backend.
    pub fn new(
        interrupt: Interrupt,
        backend: impl AsyncFnOnce() -> anyhow::Result<Backend>,
    ) -> anyhow::Result<Self> {
        // Connections are kept alive by a thread of their own while a prompt waits.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("vitalog-sql")
            .enable_all()
            .build()?;
        let backend = runtime.block_on(backend())?;
        Ok(Self {
            backend,
            runtime,
            interrupt,
        })
    }

    /// Runs one statement and writes its answer.
    ///
    /// # Errors
    /// What the statement failed with; rows written before stay written.
    pub fn run(
        &self,
        sql: String,
        format: OutputFormat,
        screen: Screen,
        out: &mut dyn Write,
    ) -> anyhow::Result<Outcome> {
        let mut outlet = Outlet {
            out,
            is_closed: false,
        };
        let result = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = (self.interrupt)() => Ok(Outcome::Cancelled),
                result = answer(&self.backend, sql, format, screen, &mut outlet) => {
                    result.map(Outcome::Done)
                }
            }
        });
        if outlet.is_closed {
            Ok(Outcome::OutputClosed)
        } else {
            result
        }
    }

    /// Tables and functions as they are now.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn catalog(&self) -> anyhow::Result<std::sync::Arc<Catalog>> {
        self.runtime.block_on(self.backend.catalog())
    }
}

async fn answer(
    backend: &Backend,
    sql: String,
    format: OutputFormat,
    screen: Screen,
    out: &mut dyn Write,
) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let mut answer = backend.query(sql).await?;
    let mut writer = answer_writer(format, &answer.schema, screen, out)?;
    let mut rows = 0;
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch)?;
        // An answer that is always ready would never let the interrupt be seen.
        tokio::task::yield_now().await;
    }
    let notes = writer.finish()?;
    Ok(Summary {
        rows,
        elapsed: started.elapsed(),
        notes,
    })
}

/// Knows afterwards whether the output failed because its reader has gone: writers of formats
/// wrap the error beyond recognition.
struct Outlet<'w> {
    out: &'w mut dyn Write,
    is_closed: bool,
}

impl Outlet<'_> {
    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        {
            self.is_closed = true;
        }
        result
    }
}

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.watch(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_and_times() {
        let summary = |rows, micros| Summary {
            rows,
            elapsed: Duration::from_micros(micros),
            notes: vec![],
        };
        assert_eq!(summary(1, 1_250).describe(true), "(1 row, 1.2 ms)");
        assert_eq!(summary(0, 2_350_000).describe(true), "(0 rows, 2.35 s)");
        assert_eq!(summary(3, 0).describe(false), "(3 rows)");
    }
}
