import pytest

from broker.facades.asking import Refused
from broker.facades.dashscope.generation import ChatForm, read_chat, write_answer, write_piece

SAYS = {"role": "user", "content": "tea?"}
WHOLE = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2},
}


def test_a_chat_is_read_by_its_messages_and_what_both_forms_share():
    parameters = {"result_format": "message", "incremental_output": True, "temperature": 0, "enable_search": True}
    body = {"model": "ft:m:ada_1", "input": {"messages": [SAYS]}, "parameters": parameters}
    asked, form = read_chat(body, is_streamed=True)
    assert asked == {"model": "ft:m:ada_1", "messages": [SAYS], "stream": True, "temperature": 0}
    assert form == ChatForm(as_messages=True, is_incremental=True)


def test_a_prompt_is_a_message_and_parts_of_text_get_their_kind():
    asked, form = read_chat({"model": "m", "input": {"prompt": "tea?"}}, is_streamed=False)
    assert (asked["messages"], form.as_messages) == ([SAYS], False)
    parts = {"messages": [{"role": "user", "content": [{"text": "tea?"}]}]}
    asked, _form = read_chat({"model": "m", "input": parts}, is_streamed=False)
    assert asked["messages"][0]["content"] == [{"type": "text", "text": "tea?"}]


@pytest.mark.parametrize("body", [{}, {"input": {}}, {"input": {"messages": "tea?"}}, {"input": [1]}])
def test_a_chat_without_anything_said_is_refused(body):
    with pytest.raises(Refused):
        read_chat({"model": "m", **body}, is_streamed=False)


def test_an_answer_is_written_as_messages_or_as_text():
    form = ChatForm(as_messages=True, is_incremental=False)
    assert write_answer(WHOLE, form) == {
        "output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}]},
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
    }
    plain = write_answer(WHOLE, ChatForm(as_messages=False, is_incremental=False))
    assert plain["output"] == {"text": "Yes.", "finish_reason": "stop"}


def test_a_piece_that_goes_on_says_so():
    form = ChatForm(as_messages=True, is_incremental=True)
    told = write_piece({"choices": [{"delta": {"content": "Ye"}, "finish_reason": None}]}, "Ye", form)
    assert told["output"]["choices"][0] == {
        "finish_reason": "null",
        "message": {"role": "assistant", "content": "Ye"},
    }
