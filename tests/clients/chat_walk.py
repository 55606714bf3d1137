"""Chats with a model through a package that is named, once whole and once in pieces.

chat_walk.py PACKAGE ADDRESS KEY MODEL    what was answered goes to standard output as JSON.
"""

import json
import sys
from importlib import import_module

package, address, key, model = sys.argv[1:]
CLASSES = {"openai": "OpenAI", "together": "Together", "dashscope": "Client"}
client = getattr(import_module(package), CLASSES[package])(base_url=address, api_key=key)
asked = {
    "model": model,
    "messages": [{"role": "user", "content": "Write line 1 about tea."}],
    "max_tokens": 8,
    "temperature": 0,
}
whole = client.chat.completions.create(**asked)
pieces = [
    each.choices[0].delta.content or "" for each in client.chat.completions.create(**asked, stream=True) if each.choices
]
found = {"whole": whole.choices[0].message.content, "pieces": pieces}
if package == "dashscope":  # its first generation, which gives all so far with each piece
    dashscope = import_module(package)
    dashscope.base_http_api_url, dashscope.api_key = address, key
    said = [each.output["text"] for each in dashscope.Generation.call(**asked, result_format="text", stream=True)]
    found["first"] = [dashscope.Generation.call(**asked, result_format="text").output["text"], said[-1]]
json.dump(found, sys.stdout)
