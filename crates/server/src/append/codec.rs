//! The codec of `Append`: requests stay the bytes that they are, responses are the generated
//! message. See `request` for why.

use bytes::{Buf, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AppendCodec;

impl Codec for AppendCodec {
    type Encode = AppendResponse;
    type Decode = Bytes;
    type Encoder = ProstEncoder<AppendResponse>;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<AppendResponse, AppendRequest>::default().encoder()
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

/// Hands the bytes of a message on, without a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
