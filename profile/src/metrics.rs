//! What the service counts, as `GET /metrics` shows it: OpenMetrics text.
//!
//! Labels are names from the program alone: routes without ids, statuses, kinds of task. Nothing that names an owner, a
//! question or a case may become one.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web;
use contracts::units::UnixTime;
use oracles::metrics::CONTENT_TYPE;
use oracles::problem::Problem;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::service::Service;
use crate::store::StoreError;

/// Upper bounds of the time buckets, in seconds: a proof takes part of one, a step that waits for committees several.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Times = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The counters of one process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels<2>, Counter>,
    seconds: Times,
    tasks: Family<Labels<2>, Counter>,
    waiting: Family<Labels<1>, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("profile"),
            requests: Family::default(),
            seconds: Times::new_with_constructor(|| Histogram::new(SECONDS)),
            tasks: Family::default(),
            waiting: Family::default(),
        };
        let all = &mut metrics.registry;
        let requests = metrics.requests.clone();
        all.register("requests", "Requests, by route and status", requests);
        all.register_with_unit(
            "request",
            "Time to answer, by route",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        all.register(
            "tasks",
            "Tasks that this process worked on, by kind and outcome: done, or failed and tried again",
            metrics.tasks.clone(),
        );
        all.register(
            "waiting",
            "Work in the database that is due and not done, by kind: all processes together",
            metrics.waiting.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Counts an answer under its route's pattern, which names nobody.
    pub(crate) fn request(&self, method: &str, path: &str, status: u16, took: Duration) {
        let route = format!("{method} {path}");
        let by = [("route", route.clone()), ("status", status.to_string())];
        self.requests.get_or_create(&by).inc();
        let of_route = self.seconds.get_or_create(&[("route", route)]);
        of_route.observe(took.as_secs_f64());
    }

    /// Counts a task that was done or put off.
    pub(crate) fn task(&self, kind: &str, outcome: &str) {
        let by = [("kind", kind.to_owned()), ("outcome", outcome.to_owned())];
        self.tasks.get_or_create(&by).inc();
    }
}

impl Service {
    /// Everything counted, as OpenMetrics text.
    async fn metrics_text(&self) -> Result<String, Problem> {
        for (kind, due) in self.store.waiting(self.clock.now()).await? {
            let gauge = self.metrics.waiting.get_or_create(&[("kind", kind.into())]);
            gauge.set(due);
        }
        let mut text = String::new();
        encode(&mut text, &self.metrics.registry).map_err(|_| Problem::internal())?;
        Ok(text)
    }
}

#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "OpenMetrics: requests by route and status, tasks by kind and outcome, work that waits")))]
pub(crate) async fn metrics(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let text = service.metrics_text().await?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

impl crate::store::Store {
    /// Tasks of lifecycles and items of renewals that are due and not done.
    async fn waiting(&self, now: UnixTime) -> Result<[(&'static str, i64); 2], StoreError> {
        let count = async |sql: &'static str| -> Result<i64, StoreError> {
            let row = sqlx::query(sql).bind(now.0).fetch_one(self.pool()).await?;
            Ok(sqlx::Row::try_get(&row, 0)?)
        };
        let tasks = "SELECT COUNT(*) FROM lifecycle_task WHERE done_at IS NULL AND due_at <= $1";
        let items = "SELECT COUNT(*) FROM renewal_item WHERE done_at IS NULL AND due_at <= $1";
        Ok([
            ("task", count(tasks).await?),
            ("renewal", count(items).await?),
        ])
    }
}
