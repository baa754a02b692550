"""The lecture's nine cells: ordinary PyTorch teaching code with only its import lines changed.

Run it whole (`python examples/lecture_cells.py`) or cell by cell in an editor that knows `# %%`.
Cell 3 fails on purpose, and its message is the point: it names the variable, its line and the
remedy. Where there is no display, matplotlib draws to memory and shows nothing.
"""

# %% Cell 1: the derivative of (w - 3)^2 at w = 4
import slopewise as torch

# 1. 초기 설정
w = torch.tensor(4.0, requires_grad=True)

# 2. 기울기 계산
# L(w) = (w - 3)^2
L = (w - 3) ** 2

# 3. 역전파(Backpropagation) 실행: L을 w에 대해 미분한 값 +2가 w.grad에 저장됩니다.
L.backward()

print(f"L(w)=w2-w1: {L.item():.6f}")
print(f"업데이트전 w값: {w.item()}")
print(f"도함수적용(미분): {w.grad.item()}")

# %% Cell 2: one step of gradient descent
import slopewise.optim as optim

learning_rate = 1.0  # 학습률을 1.0으로 설정
optimizer = optim.SGD([w], lr=learning_rate)
optimizer.step()

print(f"역전파된 w값: {w.item()}")

# %% Cell 3: the same with requires_grad=False
import slopewise as torch

w = torch.tensor(4.0, requires_grad=False)

L = (w - 3) ** 2

try:
    L.backward()
except RuntimeError as error:
    print(f"RuntimeError: {error}")

# %% Cell 4: e^w is its own derivative
import slopewise as torch
import slopewise.optim as optim

# 1. 초기 설정
w = torch.tensor(4.0, requires_grad=True)

# 2. 손실함수 정의: L = exp(w)
L = torch.exp(w)

# 3. 역전파 수행 (dL/dw 계산)
L.backward()
print(f"L(w)=w2-w1: {L.item():.6f}")
print(f"업데이트 전 w값: {w.item()}")
print(f"도함수 적용(미분): {w.grad.item()}")

# 4. 경사하강법으로 w 업데이트
learning_rate = 1.0
optimizer = optim.SGD([w], lr=learning_rate)
optimizer.step()  # w ← w - lr * grad

print(f"업데이트 후 w값: {w.item():.6f}")

# %% Cell 5: L = w, whose derivative is 1
import slopewise as torch
import slopewise.optim as optim

# 1. 초기 설정
w = torch.tensor(4.0, requires_grad=True)

# 2. 손실함수 정의: L = w
L = w

# 3. 역전파 수행 (dL/dw 계산)
L.backward()
print(f"L(w)=w2-w1: {L.item():.6f}")
print(f"업데이트 전 w값: {w.item()}")
print(f"도함수 적용(미분): {w.grad.item()}")

# 4. 경사하강법으로 w 업데이트
learning_rate = 1.0
optimizer = optim.SGD([w], lr=learning_rate)
optimizer.step()  # w ← w - lr * grad

print(f"업데이트 후 w값: {w.item():.6f}")

# %% Cell 6: values of e^x
import math

import matplotlib.pyplot as plt

x_vals = [-6, -3, -1, 0, 1, 3, 6]
y_vals = [math.exp(x) for x in x_vals]

for x, y in zip(x_vals, y_vals):
    print(f"x = {x}, exp(x) = {y}")

plt.figure()
plt.plot(x_vals, y_vals, marker="o")
plt.title("exp(x) for selected values")
plt.xlabel("x")
plt.ylabel("exp(x)")
plt.grid(True)
plt.show()

# %% Cell 7: the sigmoid beside a line
import matplotlib.pyplot as plt
import numpy as np

x = np.array([-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8])
y_linear = 2 * x
y_sigmoid = 1 / (1 + np.exp(-x))  # 무조건 0~1사이 값이됨
print(y_sigmoid.min(), "~", y_sigmoid.max())

plt.figure(figsize=(10, 2))

plt.subplot(1, 2, 1)
plt.plot(y_sigmoid)
plt.subplot(1, 2, 2)
plt.plot(y_linear)
plt.show()

# %% Cell 8: the sigmoid and y * (1 - y)
import slopewise as torch
import slopewise.nn.functional as F

# 시그모이드 함수와 그 미분 (σ'(x) = σ(x)(1 - σ(x)))
x = torch.tensor([-20.0, -4.0, -2.0, 0.0, 2.0, 4.0, 20.0])

# 1. 시그모이드 값
y = torch.sigmoid(x)

# 2. 미분값(기울기)
grad = y * (1 - y)

# 결과 출력
for i, (val, g) in enumerate(zip(y, grad)):
    print(f"x={x[i].item():>5} → sigmoid={val.item():.6f}, gradient={g.item():.8f}")

# %% Cell 9: the slope of the sigmoid from -10 to 10
import matplotlib.pyplot as plt
import numpy as np

import slopewise as torch


# 시그모이드 함수 정의
def sigmoid(z):
    return torch.sigmoid(z)


# 미분값(기울기) 계산 함수 정의
def calculate_slope(z_value):
    # 1. z 텐서 정의 (미분 추적 활성화)
    z = torch.tensor(z_value, requires_grad=True)

    # 2. 시그모이드 함수 계산
    s = sigmoid(z)

    # 3. 역전파(backward)로 기울기 계산
    s.backward()

    # 4. 기울기 값 반환
    return z.grad.item()


# 1. z 값 범위 설정 (넓은 범위: -10부터 10까지)
z_values = np.linspace(-10, 10, 100)

# 2. 각 z 값에 대한 기울기 계산
slopes = [calculate_slope(z) for z in z_values]

plt.figure()
plt.plot(z_values, slopes)
plt.title("sigmoid'(z)")
plt.xlabel("z")
plt.ylabel("slope")
plt.grid(True)
plt.show()
