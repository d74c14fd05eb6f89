//! Reads HTTP/1.1 messages out of the two byte streams of one connection, without changing them.

use std::collections::VecDeque;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the party.
    Request,
    /// From the party.
    Response,
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which way it went.
    pub direction: Direction,
    /// Method and path of the request, or of the request that a response answers; the query is left out.
    pub route: String,
    /// The first line and the headers, as they crossed.
    pub head: Vec<u8>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// The state of one connection.
#[derive(Default)]
pub struct Scanner {
    inward: Vec<u8>,
    outward: Vec<u8>,
    waiting: VecDeque<String>,
}

const MAX_HEADERS: usize = 64;

impl Scanner {
    /// Takes the next bytes of one direction; returns the messages that they complete.
    pub fn push(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        match direction {
            Direction::Request => {
                self.inward.extend_from_slice(bytes);
                while let Some((route, head, body, used)) = parse_request(&self.inward) {
                    let head = self.inward.get(..head).unwrap_or_default().to_vec();
                    self.inward.drain(..used);
                    self.waiting.push_back(route.clone());
                    messages.push(Message {
                        direction,
                        route,
                        head,
                        body,
                    });
                }
            }
            Direction::Response => {
                self.outward.extend_from_slice(bytes);
                while let Some((status, head, body, used)) = parse_response(&self.outward) {
                    let head = self.outward.get(..head).unwrap_or_default().to_vec();
                    self.outward.drain(..used);
                    if status < 200 {
                        continue;
                    }
                    let route = self.waiting.pop_front().unwrap_or_default();
                    messages.push(Message {
                        direction,
                        route,
                        head,
                        body,
                    });
                }
            }
        }
        messages
    }
}

fn parse_request(bytes: &[u8]) -> Option<(String, usize, Vec<u8>, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).ok()? else {
        return None;
    };
    let path = request.path?.split('?').next().unwrap_or_default();
    let route = format!("{} {path}", request.method?);
    let (body, used) = parse_body(request.headers, bytes.get(head..)?)?;
    Some((route, head, body, head + used))
}

fn parse_response(bytes: &[u8]) -> Option<(u16, usize, Vec<u8>, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
        return None;
    };
    let status = response.code?;
    let (body, used) = match status {
        100..=199 | 204 | 304 => (Vec::new(), 0),
        _ => parse_body(response.headers, bytes.get(head..)?)?,
    };
    Some((status, head, body, head + used))
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .and_then(|header| std::str::from_utf8(header.value).ok())
}

fn parse_body(headers: &[httparse::Header<'_>], rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    if header(headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let httparse::Status::Complete((head, size)) =
                httparse::parse_chunk_size(rest.get(at..)?).ok()?
            else {
                return None;
            };
            let start = at + head;
            let end = start + usize::try_from(size).ok()?;
            body.extend_from_slice(rest.get(start..end)?);
            rest.get(end..end + 2)?;
            at = end + 2;
            if size == 0 {
                return Some((body, at));
            }
        }
    }
    let length = header(headers, "content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    Some((rest.get(..length)?.to_vec(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cut_anywhere_are_read_whole() {
        let request =
            b"POST /a?x=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n";
        let response =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for step in [1, 7, 1000] {
            let mut scanner = Scanner::default();
            let mut messages = Vec::new();
            for part in request.chunks(step) {
                messages.extend(scanner.push(Direction::Request, part));
            }
            for part in response.chunks(step) {
                messages.extend(scanner.push(Direction::Response, part));
            }
            let seen: Vec<_> = messages
                .iter()
                .map(|message| (message.route.as_str(), message.body.as_slice()))
                .collect();
            assert_eq!(
                seen,
                [
                    ("POST /a", b"hello".as_slice()),
                    ("GET /b", b""),
                    ("POST /a", b"abcde"),
                    ("GET /b", b"")
                ],
                "cut every {step} bytes"
            );
        }
    }
}
