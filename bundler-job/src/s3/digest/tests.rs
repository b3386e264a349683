use super::*;

fn headers() -> aws_sdk_s3::operation::get_object::builders::GetObjectOutputBuilder {
    GetObjectOutput::builder()
}

fn check(headers: &GetObjectOutput, body: &[u8]) -> Result<Digested, Mismatch> {
    let mut digest = BodyDigest::new(headers);
    for chunk in body.chunks(3) {
        digest.update(chunk);
    }
    digest.finish()
}

const MD5_OF_123456789: &str = "25f9e794323b453885f5181f1b624d0b";

fn proven() -> Digested {
    Digested {
        md5: MD5_OF_123456789.to_owned(),
        proven: true,
    }
}

fn unproven(checked: Result<Digested, Mismatch>) -> bool {
    checked.is_ok_and(|digested| !digested.proven)
}

#[test]
fn a_plain_etag_is_compared() {
    let good = headers().e_tag(format!("\"{MD5_OF_123456789}\"")).build();
    assert_eq!(check(&good, b"123456789"), Ok(proven()));
    assert_eq!(check(&good, b"123456780"), Err(Mismatch));
    let weak = headers().e_tag(format!("W/\"{MD5_OF_123456789}\"")).build();
    assert_eq!(check(&weak, b"123456789"), Ok(proven()));
    assert_eq!(check(&weak, b"123456780"), Err(Mismatch));
    let mut told = BodyDigest::new(&headers().build());
    told.expect_md5(Some(MD5_OF_123456789.to_owned()));
    told.update(b"123456780");
    assert_eq!(told.finish(), Err(Mismatch));
}

#[test]
fn an_etag_under_kms_or_of_parts_is_not_an_md5() {
    let kms = headers()
        .e_tag("\"00000000000000000000000000000000\"")
        .server_side_encryption(ServerSideEncryption::AwsKms);
    assert!(unproven(check(&kms.build(), b"123456789")));
    let parts = headers()
        .e_tag("\"00000000000000000000000000000000-2\"")
        .build();
    assert!(unproven(check(&parts, b"x")));
}

// Check values of the CRC catalogue for "123456789", and SHA of the same.
#[test]
fn the_sources_own_checksum_is_compared_where_the_etag_is_no_md5() {
    let multipart = || {
        headers()
            .e_tag("\"0-2\"")
            .checksum_type(ChecksumType::FullObject)
    };
    let hex = |text: &str| {
        BASE64.encode(
            &data_encoding::HEXLOWER_PERMISSIVE
                .decode(text.as_bytes())
                .expect("hex"),
        )
    };
    let good = [
        multipart().checksum_crc32(hex("cbf43926")),
        multipart().checksum_crc32_c(hex("e3069283")),
        multipart().checksum_crc64_nvme(hex("ae8b14860a799888")),
        multipart().checksum_sha1(hex("f7c3bc1d808e04732adf679965ccc34ca7ae3441")),
        multipart().checksum_sha256(hex(
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        )),
    ];
    for headers in
        good.map(aws_sdk_s3::operation::get_object::builders::GetObjectOutputBuilder::build)
    {
        assert_eq!(check(&headers, b"123456789"), Ok(proven()), "{headers:?}");
        assert_eq!(check(&headers, b"123456780"), Err(Mismatch), "{headers:?}");
    }
}

#[test]
fn a_composite_checksum_is_not_of_the_bytes() {
    let composite = headers()
        .e_tag("\"0-2\"")
        .checksum_type(ChecksumType::Composite)
        .checksum_crc32("AAAAAA==-2")
        .build();
    assert!(unproven(check(&composite, b"123456789")));
}

#[test]
fn a_checksum_that_is_too_short_for_its_algorithm_is_none() {
    let short = headers()
        .e_tag("\"0-2\"")
        .checksum_crc64_nvme("AAAAAA==")
        .build();
    assert!(unproven(check(&short, b"123456789")));
}
