//! A thread that does work for the reactor, one piece after another, and answers on its queue.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use crate::node::Failure;
use crate::node::incoming::Incoming;

/// The reactor's end. Dropping it waits for the work that was submitted.
#[derive(Debug)]
pub(super) struct Worker<Job> {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl<Job: Send + 'static> Worker<Job> {
    /// Starts the thread. What `work` makes of a job goes to the reactor; it may look at what
    /// was submitted meanwhile.
    pub(super) fn start(
        name: &str,
        answers: UnboundedSender<Incoming>,
        mut work: impl FnMut(Job, &mpsc::Receiver<Job>) -> Option<Incoming> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, submitted) = mpsc::channel();
        let run = move || {
            let watch = Watch(answers);
            while let Ok(job) = submitted.recv() {
                if let Some(answer) = work(job, &submitted)
                    && watch.0.send(answer).is_err()
                {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this end is dropped.
            let _sent = jobs.send(job);
        }
    }
}

impl<Job> Drop for Worker<Job> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Tells the reactor of a thread that ends by a panic: what was asked of it is never answered.
struct Watch(UnboundedSender<Incoming>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The reactor may have ended.
            let _sent = self.0.send(Incoming::WorkFailed { failure: Failure::invariant() });
        }
    }
}
