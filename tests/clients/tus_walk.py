"""Uploads a file through tuspy in pieces, breaks off, and goes on from where the server says; prints the address.

tus_walk.py URL FILE    with BROKER_KEY.
"""

import os
import sys

from tusclient.client import TusClient

url, path = sys.argv[1:]
client = TusClient(url, headers={"Authorization": f"Bearer {os.environ['BROKER_KEY']}"})
first = client.uploader(path, chunk_size=1000, metadata={"filename": "tea.jsonl"}, upload_checksum=True)
first.upload_chunk()
again = client.uploader(path, url=first.url, chunk_size=1500, upload_checksum=True)
assert again.offset == 1000, again.offset
again.upload()
sys.stdout.write(first.url)
