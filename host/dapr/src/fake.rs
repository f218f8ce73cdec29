//! A sidecar for unit tests: its gRPC API answers each method as the test defines.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::Status;

/// The bytes before a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Starts one, and returns its address. `answer` gets the method's name and the message.
pub(super) async fn sidecar(
    answer: impl Fn(&str, Bytes) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let answer = answer.clone();
                async move {
                    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                    let mut body = request.collect().await?.to_bytes();
                    body.advance(PREFIX.min(body.len()));
                    Ok::<_, hyper::Error>(response(answer(&method, body)))
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

fn response(
    answer: Result<Vec<u8>, Status>,
) -> http::Response<impl http_body::Body<Data = Bytes, Error = Infallible>> {
    let mut trailers = HeaderMap::new();
    let mut body = BytesMut::new();
    match answer {
        Ok(message) => {
            body.put_u8(0);
            body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
            body.extend_from_slice(&message);
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err(status) => {
            trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
            if let Ok(text) = HeaderValue::from_str(status.message()) {
                trailers.insert("grpc-message", text);
            }
        }
    }
    let body = Full::new(body.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let mut response = http::Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// Starts a server that answers every request with this text, and returns its address.
pub(super) async fn http(text: &'static str) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(move || async move { text });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
