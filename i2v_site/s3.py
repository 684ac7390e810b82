"""How we speak S3, so that Cloudflare R2 and other imitations of it understand us."""

from boto3.s3.transfer import TransferConfig
from botocore.config import Config

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 3


def client_config(addressing_style: str) -> Config:
    """Signature v4, patient but not for ever, and no checksum headers but where S3 insists.

    Since 1.36 botocore adds CRC32 trailers to every upload, which R2 and others refuse or store as content.
    """
    return Config(
        s3={"addressing_style": addressing_style},  # type: ignore[arg-type]  # text from the environment
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
    )


def transfer_config() -> TransferConfig:
    """Large files in equal parts (R2 insists), a few at once: memory stays at some 60 MB whatever the file's size."""
    config = TransferConfig(
        multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
    )
    # boto3 does not offer it as an argument; the default of 10 would read that many parts ahead.
    config.max_in_memory_upload_chunks = PARTS_AT_ONCE
    return config
