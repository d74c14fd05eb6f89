//! What a node counts, as `GET /metrics` shows it: OpenMetrics text.
//!
//! Labels are names from the configuration and the program: topics, routes, committees, nodes, sources. No fact, and nothing
//! that names an owner or a request, may become a label.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use contracts::ids::NodeId;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::rollback::Marks;
use crate::sources::{BreakerState, SourceHealth};

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the time buckets, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Times = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The counters of one node. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    asked: Family<Labels<2>, Counter>,
    asked_seconds: Times,
    calls: Family<Labels<3>, Counter>,
    owners: Family<Labels<2>, Counter>,
    owners_seconds: Times,
    ceremonies: Family<Labels<2>, Counter>,
    faults: Family<Labels<2>, Counter>,
    sources: Family<Labels<2>, Counter>,
    sources_seconds: Times,
    breakers: Family<Labels<2>, Gauge>,
    health: Family<Labels<2>, Gauge<f64, AtomicU64>>,
    standing: Family<Labels<2>, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let times = || -> Times { Times::new_with_constructor(|| Histogram::new(SECONDS)) };
        let mut inner = Inner {
            registry: Registry::with_prefix("oracle"),
            asked: Family::default(),
            asked_seconds: times(),
            calls: Family::default(),
            owners: Family::default(),
            owners_seconds: times(),
            ceremonies: Family::default(),
            faults: Family::default(),
            sources: Family::default(),
            sources_seconds: times(),
            breakers: Family::default(),
            health: Family::default(),
            standing: Family::default(),
        };
        let all = &mut inner.registry;
        all.register(
            "peer_requests",
            "Requests of other nodes, by topic and outcome",
            inner.asked.clone(),
        );
        all.register(
            "peer_calls",
            "Calls to other nodes, by node, topic and outcome",
            inner.calls.clone(),
        );
        all.register(
            "owner_requests",
            "Requests at the owners' door, by route and status",
            inner.owners.clone(),
        );
        all.register(
            "ceremonies",
            "Signing ceremonies this node coordinated, by key and outcome",
            inner.ceremonies.clone(),
        );
        all.register(
            "faults",
            "Members that were silent, refused or lied in a ceremony, by node and kind",
            inner.faults.clone(),
        );
        all.register(
            "source_reads",
            "Reads of sources, by source and outcome",
            inner.sources.clone(),
        );
        all.register(
            "source_breaker",
            "1 where a source's circuit breaker stands: closed, half_open or open",
            inner.breakers.clone(),
        );
        all.register(
            "source_health",
            "Shares of a source's last 64 reads: error_rate, disagreement_rate, drift (distance from the agreed value in \
             tolerances) and score (neither failed nor disagreed)",
            inner.health.clone(),
        );
        all.register(
            "standing",
            "1 where the node stands on a committee: starting, ready or behind",
            inner.standing.clone(),
        );
        let mut seconds = |name: &str, help: &str, times: &Times| {
            all.register_with_unit(name, help, Unit::Seconds, times.clone());
        };
        seconds(
            "peer_request",
            "Time to answer another node, by topic",
            &inner.asked_seconds,
        );
        seconds(
            "owner_request",
            "Time to answer at the owners' door, by route",
            &inner.owners_seconds,
        );
        seconds(
            "source_read",
            "Time to read a source",
            &inner.sources_seconds,
        );
        Self(Arc::new(inner))
    }
}

impl Metrics {
    /// Another node was answered.
    pub fn peer_request(&self, topic: &'static str, outcome: &'static str, took: Duration) {
        let inner = &self.0;
        inner
            .asked
            .get_or_create(&[("topic", topic.to_owned()), ("outcome", outcome.to_owned())])
            .inc();
        inner
            .asked_seconds
            .get_or_create(&[("topic", topic.to_owned())])
            .observe(took.as_secs_f64());
    }

    /// Another node was called.
    pub fn peer_call(&self, node: NodeId, topic: &str, outcome: &'static str) {
        let labels = [
            ("node", node.to_string()),
            ("topic", topic.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        self.0.calls.get_or_create(&labels).inc();
    }

    /// Somebody was answered at the owners' door; `route` is the pattern, not the path.
    pub fn owner_request(&self, route: &str, status: u16, took: Duration) {
        let inner = &self.0;
        inner
            .owners
            .get_or_create(&[("route", route.to_owned()), ("status", status.to_string())])
            .inc();
        inner
            .owners_seconds
            .get_or_create(&[("route", route.to_owned())])
            .observe(took.as_secs_f64());
    }

    /// A ceremony that this node coordinated ended.
    pub fn ceremony(&self, key: &str, outcome: &'static str) {
        self.0
            .ceremonies
            .get_or_create(&[("key", key.to_owned()), ("outcome", outcome.to_owned())])
            .inc();
    }

    /// A member did not do its part.
    pub fn fault(&self, node: NodeId, kind: &'static str) {
        self.0
            .faults
            .get_or_create(&[("node", node.to_string()), ("kind", kind.to_owned())])
            .inc();
    }

    /// A source was read; `source` is its configured name.
    pub fn source_read(&self, source: &str, outcome: &'static str, took: Duration) {
        let inner = &self.0;
        inner
            .sources
            .get_or_create(&[
                ("source", source.to_owned()),
                ("outcome", outcome.to_owned()),
            ])
            .inc();
        inner
            .sources_seconds
            .get_or_create(&[("source", source.to_owned())])
            .observe(took.as_secs_f64());
    }

    /// How a source stands after a read.
    pub fn source_health(&self, health: &SourceHealth) {
        let inner = &self.0;
        for state in [
            BreakerState::Closed,
            BreakerState::HalfOpen,
            BreakerState::Open,
        ] {
            let labels = [
                ("source", health.name.clone()),
                ("state", state.name().to_owned()),
            ];
            let here = i64::from(state == health.breaker);
            inner.breakers.get_or_create(&labels).set(here);
        }
        for (figure, value) in [
            ("error_rate", health.error_rate),
            ("disagreement_rate", health.disagreement_rate),
            ("drift", health.drift),
            ("score", health.score),
        ] {
            let labels = [
                ("source", health.name.clone()),
                ("figure", figure.to_owned()),
            ];
            inner.health.get_or_create(&labels).set(value);
        }
    }

    /// Everything counted so far, and where the node stands now.
    pub fn encode(&self, marks: &Marks) -> String {
        for (committee, standing) in marks.standings() {
            for (name, is) in standing.named() {
                let labels = [
                    ("committee", committee.to_string()),
                    ("standing", name.to_owned()),
                ];
                self.0.standing.get_or_create(&labels).set(i64::from(is));
            }
        }
        self.text()
    }

    /// Everything counted so far.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        text
    }
}
