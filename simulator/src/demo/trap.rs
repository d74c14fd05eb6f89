//! A trap over the doors of a run: it counts what crosses, and at a chosen crossing holds the line until somebody was killed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::http_scan::Direction;

/// Longest part of a path that is taken for a name; what is longer is an id, which differs from run to run.
const MAX_NAME: usize = 20;

/// The `nth` crossing, from 1, of a route through a party's door.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crossing {
    /// Whose door.
    pub door: String,
    /// Method and path, ids left out.
    pub route: String,
    /// Which time.
    pub nth: u32,
}

/// When, about a crossing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The request has left its sender and not arrived.
    Before,
    /// The party has answered, and the answer is lost.
    Lost,
    /// The answer has been delivered.
    Delivered,
}

/// A crossing at which the line is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Which.
    pub crossing: Crossing,
    /// When.
    pub moment: Moment,
}

impl Moment {
    /// Every moment.
    pub const ALL: [Self; 3] = [Self::Before, Self::Lost, Self::Delivered];

    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Lost => "lost",
            Self::Delivered => "delivered",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crossing { door, route, nth } = &self.crossing;
        write!(f, "{door} {route} {nth} {}", self.moment.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = || {
            format!(
                "{text:?} is no point: write DOOR METHOD PATH NTH before|lost|delivered, as a run prints them"
            )
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [door, method, path, nth, moment] = parts.as_slice() else {
            return Err(usage());
        };
        let moment = Moment::ALL
            .into_iter()
            .find(|known| known.name() == *moment);
        Ok(Self {
            crossing: Crossing {
                door: (*door).to_owned(),
                route: format!("{method} {path}"),
                nth: nth.parse().map_err(|_| usage())?,
            },
            moment: moment.ok_or_else(usage)?,
        })
    }
}

/// A line that is held; it goes on, or breaks, when this is dropped.
#[derive(Debug)]
pub struct Caught {
    /// Where.
    pub point: Point,
    _go: oneshot::Sender<()>,
}

/// What the relay waits for.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) moment: Moment,
    freed: oneshot::Receiver<()>,
}

impl Hold {
    pub(super) async fn freed(self) {
        // The sender is never used: it is dropped.
        let _ = self.freed.await;
    }
}

#[derive(Debug, Default)]
struct Inner {
    requests: BTreeMap<(String, String), u32>,
    answers: BTreeMap<(String, String), u32>,
    order: Vec<Crossing>,
    set: Vec<Point>,
}

/// The trap.
#[derive(Debug)]
pub struct Trap {
    inner: Mutex<Inner>,
    caught: mpsc::UnboundedSender<Caught>,
}

impl Trap {
    /// A trap that holds the line at these points, each once, and where it says so.
    pub fn new(points: Vec<Point>) -> (Arc<Self>, mpsc::UnboundedReceiver<Caught>) {
        let (caught, springs) = mpsc::unbounded_channel();
        let inner = Inner {
            set: points,
            ..Inner::default()
        };
        let trap = Self {
            inner: Mutex::new(inner),
            caught,
        };
        (Arc::new(trap), springs)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has crossed so far, in order.
    pub fn crossings(&self) -> Vec<Crossing> {
        self.lock().order.clone()
    }

    /// The points that nothing has come to yet.
    pub fn left(&self) -> Vec<Point> {
        self.lock().set.clone()
    }

    /// Counts a message; says whether the line is to be held.
    pub(super) fn crosses(&self, door: &str, direction: Direction, route: &str) -> Option<Hold> {
        let route = nameless(route);
        let mut inner = self.lock();
        let inner = &mut *inner;
        let counts = match direction {
            Direction::Request => &mut inner.requests,
            Direction::Response => &mut inner.answers,
        };
        let count = counts.entry((door.to_owned(), route.clone())).or_default();
        *count += 1;
        let crossing = Crossing {
            door: door.to_owned(),
            route,
            nth: *count,
        };
        let at = inner.set.iter().position(|point| {
            let request = point.moment == Moment::Before;
            point.crossing == crossing && request == (direction == Direction::Request)
        });
        if direction == Direction::Request {
            inner.order.push(crossing);
        }
        let point = inner.set.remove(at?);
        let moment = point.moment;
        let (go, freed) = oneshot::channel();
        let caught = Caught { point, _go: go };
        // Nobody springs the trap any more: the line goes on.
        self.caught.send(caught).ok()?;
        Some(Hold { moment, freed })
    }
}

/// A route with `_` in place of every id.
pub(crate) fn nameless(route: &str) -> String {
    let parts = route.split('/').map(|part| match part.len() > MAX_NAME {
        true => "_",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_as_they_are_printed_and_bad_ones_say_what_to_write() {
        let text = "agency POST /applications/_/notices 2 lost";
        let point: Point = text.parse().unwrap();
        assert_eq!(point.to_string(), text);
        for bad in [
            "",
            "agency",
            "agency POST /x 1 lunch",
            "agency POST /x one lost",
        ] {
            assert!(bad.parse::<Point>().unwrap_err().contains("before|lost"));
        }
    }

    #[tokio::test]
    async fn the_line_is_held_at_the_crossing_named_and_nowhere_else() {
        let id = "A-0123456789abcdef0123456789abcdef";
        let route = format!("POST /applications/{id}/notices");
        let point: Point = "agency POST /applications/_/notices 2 lost"
            .parse()
            .unwrap();
        let (trap, mut springs) = Trap::new(vec![point.clone()]);
        for direction in [Direction::Request, Direction::Response, Direction::Request] {
            assert!(trap.crosses("agency", direction, &route).is_none());
        }
        let other = trap.crosses("insurer", Direction::Response, &route);
        assert!(other.is_none());
        assert_eq!(trap.left().len(), 1);
        let hold = trap.crosses("agency", Direction::Response, &route).unwrap();
        let caught = springs.recv().await.unwrap();
        assert_eq!((caught.point.clone(), hold.moment), (point, Moment::Lost));
        drop(caught);
        hold.freed().await;
        assert!(trap.left().is_empty());
        assert_eq!(trap.crossings().len(), 2);
    }
}
