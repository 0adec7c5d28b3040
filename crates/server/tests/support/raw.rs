//! Appending bytes that no generated message would encode.

use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::{ProstCodec, ProstDecoder};
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse};

use super::TestServer;

/// Appends `bytes` as they are.
pub async fn raw_append(
    server: &TestServer,
    bytes: Vec<u8>,
) -> Result<AppendResponse, tonic::Status> {
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/vitalog.v1.EventService/Append");
    let answer = grpc
        .unary(tonic::Request::new(bytes), path, RawCodec)
        .await?;
    Ok(answer.into_inner())
}

struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = AppendResponse;
    type Encoder = RawEncoder;
    type Decoder = ProstDecoder<Self::Decode>;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<AppendRequest, Self::Decode>::default().decoder()
    }
}

struct RawEncoder;

impl Encoder for RawEncoder {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}
