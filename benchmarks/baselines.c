/* Hand-written C for the rows of compiled.py: one thread, built with gcc -O3 -march=native
   -ffast-math -mprefer-vector-width=512, so that loops over exp, log and log1p become calls of the
   vector libm.
   Points are taken in blocks that stay in the first cache level; within a block the innermost loop
   runs over points or over a row of fixed length, whichever the compiler turns into vectors. */
#include <math.h>
#include <string.h>

/* w <- w - rate * d/dw (w - 3)^2, steps times. */
double descend(double w, long steps, double rate) {
  for (long i = 0; i < steps; i++) w -= rate * (2 * (w - 3));
  return w;
}

/* Logistic loss and gradient; features is n x 30, row-major. Returns the loss. */
#define LOGISTIC(NAME, T, EXP, LOG1P, FABS)                                                      \
  T NAME(long n, const T *restrict features, const T *restrict label, const T *restrict weight,  \
         T *restrict gradient) {                                                                 \
    enum { D = 30, B = 128 };                                                                    \
    T total[D] = {0}, w[D], loss = 0, z[B], r[B];                                                \
    memcpy(w, weight, sizeof w);                                                                 \
    for (long start = 0; start < n; start += B) {                                                \
      const long m = n - start < B ? n - start : B;                                              \
      const T *restrict x = features + start * D, *restrict y = label + start;                   \
      for (long i = 0; i < m; i++) {                                                             \
        T sum = 0;                                                                               \
        for (int j = 0; j < D; j++) sum += x[i * D + j] * w[j];                                  \
        z[i] = sum;                                                                              \
      }                                                                                          \
      for (long i = 0; i < m; i++) {                                                             \
        const T u = EXP(-FABS(z[i])), q = 1 / (1 + u);                                           \
        loss += (z[i] > 0 ? z[i] : 0) + LOG1P(u) - y[i] * z[i];                                  \
        r[i] = (z[i] >= 0 ? q : u * q) - y[i];                                                   \
      }                                                                                          \
      for (long i = 0; i < m; i++)                                                               \
        for (int j = 0; j < D; j++) total[j] += r[i] * x[i * D + j];                             \
    }                                                                                            \
    for (int j = 0; j < D; j++) gradient[j] = total[j] / n;                                      \
    return loss / n;                                                                             \
  }
LOGISTIC(logistic_float64, double, exp, log1p, fabs)
LOGISTIC(logistic_float32, float, expf, log1pf, fabsf)

/* Gradient of log(sum(exp(x))). */
void softmax(long n, const double *restrict x, double *restrict gradient) {
  double top = x[0], sum = 0;
  for (long i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  for (long i = 0; i < n; i++) {
    const double e = exp(x[i] - top);
    gradient[i] = e;
    sum += e;
  }
  const double scale = 1 / sum;
  for (long i = 0; i < n; i++) gradient[i] *= scale;
}

/* Gradient of the Gaussian-mixture likelihood (Srajer et al. 2018, ADBench) with a Wishart prior
   of weight 1 and no extra degrees of freedom, constants left out. A factor is 10 logarithms of
   the diagonal, then the strictly lower triangle by columns. Returns the objective. */
double mixture(long n, const double *restrict alpha, const double *restrict mean,
               const double *restrict factor, const double *restrict x,
               double *restrict alpha_gradient, double *restrict mean_gradient,
               double *restrict factor_gradient) {
  enum { D = 10, K = 25, F = 55, B = 32 };
  static _Thread_local double L[K][D][D], gL[K][D][D], gM[K][D], Q[K][D][B], t[K][B], xt[D][B];
  double logdet[K], gA[K] = {0}, top = -1e300, total = 0, sum = 0;
  memset(gL, 0, sizeof gL);
  memset(gM, 0, sizeof gM);
  for (int k = 0; k < K; k++) {
    logdet[k] = 0;
    for (int i = 0, p = D; i < D; i++) {
      logdet[k] += factor[k * F + i];
      L[k][i][i] = exp(factor[k * F + i]);
      for (int j = i + 1; j < D; j++) L[k][j][i] = factor[k * F + p++];
    }
    top = alpha[k] > top ? alpha[k] : top;
  }
  for (int k = 0; k < K; k++) sum += exp(alpha[k] - top);
  const double norm = top + log(sum);
  for (long start = 0; start < n; start += B) {
    const int m = n - start < B ? (int)(n - start) : B;
    for (int j = 0; j < D; j++)
      for (int v = 0; v < B; v++) xt[j][v] = v < m ? x[(start + v) * D + j] : 0;
    double high[B], s[B], c[D][B];
    for (int v = 0; v < B; v++) high[v] = -1e300, s[v] = 0;
    for (int k = 0; k < K; k++) {
      double a[B] = {0};
      for (int j = 0; j < D; j++)
        for (int v = 0; v < B; v++) c[j][v] = xt[j][v] - mean[k * D + j];
      for (int i = 0; i < D; i++) {
        double q[B];
        for (int v = 0; v < B; v++) q[v] = L[k][i][i] * c[i][v];
        for (int j = 0; j < i; j++)
          for (int v = 0; v < B; v++) q[v] += L[k][i][j] * c[j][v];
        for (int v = 0; v < B; v++) Q[k][i][v] = q[v], a[v] += q[v] * q[v];
      }
      for (int v = 0; v < B; v++) {
        t[k][v] = alpha[k] + logdet[k] - 0.5 * a[v];
        high[v] = t[k][v] > high[v] ? t[k][v] : high[v];
      }
    }
    for (int k = 0; k < K; k++)
      for (int v = 0; v < B; v++) t[k][v] = exp(t[k][v] - high[v]), s[v] += t[k][v];
    for (int v = 0; v < m; v++) total += high[v] + log(s[v]);
    for (int v = 0; v < B; v++) s[v] = v < m ? 1 / s[v] : 0;
    for (int k = 0; k < K; k++) {
      double w[B], weight = 0;
      for (int v = 0; v < B; v++) w[v] = t[k][v] * s[v], weight += w[v];
      gA[k] += weight;
      for (int j = 0; j < D; j++)
        for (int v = 0; v < B; v++) c[j][v] = xt[j][v] - mean[k * D + j];
      for (int i = 0; i < D; i++) {
        double g[B], g_sum = 0;
        for (int v = 0; v < B; v++) g[v] = -w[v] * Q[k][i][v], g_sum += g[v];
        gM[k][i] += g_sum;
        for (int j = 0; j <= i; j++) {
          double a = 0;
          for (int v = 0; v < B; v++) a += g[v] * c[j][v];
          gL[k][i][j] += a;
        }
      }
    }
  }
  double value = total - n * norm;
  for (int k = 0; k < K; k++) {
    alpha_gradient[k] = gA[k] - n * exp(alpha[k] - norm);
    for (int j = 0; j < D; j++) {
      double a = 0;
      for (int i = j; i < D; i++) a -= L[k][i][j] * gM[k][i];
      mean_gradient[k * D + j] = a;
    }
    for (int i = 0, p = D; i < D; i++) {
      const double e = L[k][i][i];
      factor_gradient[k * F + i] = gL[k][i][i] * e + gA[k] + e * e;
      value += 0.5 * e * e;
      for (int j = i + 1; j < D; j++, p++) {
        factor_gradient[k * F + p] = gL[k][j][i] + L[k][j][i];
        value += 0.5 * L[k][j][i] * L[k][j][i];
      }
    }
  }
  return value;
}

/* 2 x 15 Jacobian of each observation's projection: camera (rotation 3, centre 3, focal length,
   principal point 2, radial 2), point 3, weight; residual = weight * (projection - feature).
   Observations are taken eight at a time, so that each local array is one vector. */
void projections(long n, const double *restrict camera, const double *restrict point,
                 const double *restrict weight, const double *restrict feature,
                 double *restrict jacobian) {
  enum { B = 8, P = 15 };
  for (long start = 0; start < n; start += B) {
    const int m = n - start < B ? (int)(n - start) : B;
    double in[P][B], seen[2][B], out[2][P][B];
    for (int v = 0; v < B; v++) {
      const long o = start + (v < m ? v : m - 1);
      for (int p = 0; p < 11; p++) in[p][v] = camera[o * 11 + p];
      for (int p = 0; p < 3; p++) in[11 + p][v] = point[o * 3 + p];
      in[14][v] = weight[o];
      seen[0][v] = feature[o * 2], seen[1][v] = feature[o * 2 + 1];
    }
    double angle2[B], cosine[B], sinc[B];
    for (int v = 0; v < B; v++) {
      angle2[v] = in[0][v] * in[0][v] + in[1][v] * in[1][v] + in[2][v] * in[2][v];
      const double angle = sqrt(angle2[v]);
      cosine[v] = cos(angle);
      sinc[v] = sin(angle) / angle;
    }
    for (int v = 0; v < B; v++) {
      const double r[3] = {in[0][v], in[1][v], in[2][v]};
      const double x[3] = {in[11][v] - in[3][v], in[12][v] - in[4][v], in[13][v] - in[5][v]};
      const double c = cosine[v], s = sinc[v], inverse = 1 / angle2[v];
      /* rotated = c x + s (r x x) + h (r.x) r with h = (1 - c) / |r|^2 */
      const double h = (1 - c) * inverse, d = r[0] * x[0] + r[1] * x[1] + r[2] * x[2];
      const double ds = (c - s) * inverse, dh = (s - 2 * h) * inverse; /* by r_i, over r_i */
      const double cross[3] = {r[1] * x[2] - r[2] * x[1], r[2] * x[0] - r[0] * x[2],
                               r[0] * x[1] - r[1] * x[0]};
      const double skew_r[3][3] = {{0, -r[2], r[1]}, {r[2], 0, -r[0]}, {-r[1], r[0], 0}};
      const double skew_x[3][3] = {{0, x[2], -x[1]}, {-x[2], 0, x[0]}, {x[1], -x[0], 0}};
      double y[3], by_x[3][3], by_r[3][3];
      for (int i = 0; i < 3; i++) {
        y[i] = c * x[i] + s * cross[i] + h * d * r[i];
        const double along = -s * x[i] + ds * cross[i] + dh * d * r[i];
        for (int j = 0; j < 3; j++) {
          by_x[i][j] = (i == j ? c : 0) + s * skew_r[i][j] + h * r[i] * r[j];
          by_r[i][j] = along * r[j] + s * skew_x[i][j] + h * (r[i] * x[j] + (i == j ? d : 0));
        }
      }
      const double over = 1 / y[2], p[2] = {y[0] * over, y[1] * over};
      const double r2 = p[0] * p[0] + p[1] * p[1], k1 = in[9][v], k2 = in[10][v];
      const double bend = 1 + r2 * (k1 + r2 * k2), slope = 2 * (k1 + 2 * r2 * k2);
      const double focal = in[6][v], w = in[14][v];
      for (int i = 0; i < 2; i++) {
        double by_y[3];
        for (int j = 0; j < 2; j++)
          by_y[j] = w * focal * over * ((i == j ? bend : 0) + p[i] * p[j] * slope);
        by_y[2] = -(by_y[0] * p[0] + by_y[1] * p[1]);
        for (int j = 0; j < 3; j++) {
          const double gx =
              by_y[0] * by_x[0][j] + by_y[1] * by_x[1][j] + by_y[2] * by_x[2][j];
          out[i][j][v] =
              by_y[0] * by_r[0][j] + by_y[1] * by_r[1][j] + by_y[2] * by_r[2][j];
          out[i][3 + j][v] = -gx;
          out[i][11 + j][v] = gx;
        }
        out[i][6][v] = w * p[i] * bend;
        for (int j = 0; j < 2; j++) out[i][7 + j][v] = i == j ? w : 0;
        out[i][9][v] = w * focal * p[i] * r2;
        out[i][10][v] = w * focal * p[i] * r2 * r2;
        out[i][14][v] = focal * p[i] * bend + in[7 + i][v] - seen[i][v];
      }
    }
    for (int v = 0; v < m; v++)
      for (int i = 0; i < 2; i++)
        for (int p = 0; p < P; p++) jacobian[((start + v) * 2 + i) * P + p] = out[i][p][v];
  }
}
