import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.catalog.profile import Curve
from trainer.profiles.curves import NotAPolynomial, fit_curve

WHOLE = st.integers(0, 10**12)


@given(WHOLE, WHOLE, WHOLE)
def test_a_polynomial_is_found_from_three_of_its_points(constant, linear, quadratic):
    curve = Curve(constant=constant, linear=linear, quadratic=quadratic)
    sizes = (128, 256, 512, 1024)
    costs = [constant + linear * size + quadratic * size**2 for size in sizes]
    fitted = fit_curve(sizes, costs)
    assert fitted.at(1024) == pytest.approx(curve.at(1024), rel=1e-12)
    assert fitted == curve


def test_what_grows_faster_is_refused():
    with pytest.raises(NotAPolynomial, match="n = 4"):
        fit_curve((1, 2, 3, 4), [1, 8, 27, 64])


def test_a_thousandth_off_is_let_pass():
    assert fit_curve((1, 2, 3, 4), [1000, 2000, 3000, 4003]) == Curve(linear=1000)
    with pytest.raises(NotAPolynomial):
        fit_curve((1, 2, 3, 4), [1000, 2000, 3000, 4010])
