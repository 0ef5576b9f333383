//! What an answer means, told as the library's transport tells it.

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Status;
use google_cloud_gax::response::Response as Answer;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use simulator::{Body, Response};

use crate::NoAnswer;

const NO_CONTENT: u16 = 204;

/// The model that was answered, or the error.
///
/// The model is without the answer's headers: the clients drop them before anybody sees them.
pub(crate) fn read<T: DeserializeOwned + Default>(
    sent: Result<Response, NoAnswer>,
) -> Result<Answer<T>, Error> {
    let response = match sent {
        Ok(response) => response,
        Err(why @ NoAnswer::NeverSent) => return Err(Error::connect(why)),
        Err(why @ NoAnswer::Closed) => return Err(Error::io(why)),
    };
    if !response.is_success() {
        return Err(refusal(response));
    }
    let model = match response.body {
        // No text in between: the model is made of the JSON that there is.
        Body::Json(value) => T::deserialize(value),
        Body::Empty if response.status == NO_CONTENT => Ok(T::default()),
        Body::Empty => serde_json::from_slice(&[]),
        Body::Garbage(bytes) => serde_json::from_slice(&bytes),
    };
    model.map(Answer::from).map_err(Error::deser)
}

/// A service's error, where the body says one, and any HTTP error otherwise.
fn refusal(response: Response) -> Error {
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 1);
    if response.body != Body::Empty {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    let bytes = match response.body {
        Body::Json(value) => value.to_string().into_bytes(),
        Body::Empty => Vec::new(),
        Body::Garbage(bytes) => bytes,
    };
    let payload = bytes.into();
    match Status::try_from(&payload) {
        Ok(said) => Error::service_with_http_metadata(said, Some(response.status), Some(headers)),
        Err(_) => Error::http(response.status, headers, payload),
    }
}
